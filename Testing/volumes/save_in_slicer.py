"""Loads a .seg.nrrd in 3D Slicer and saves it again as Slicer does; run by `run_in_slicer`."""

import slicer


def main(path: str, copy: str) -> dict[str, bool]:
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(path)
    if not storage.ReadData(node):
        return {"saved": False}
    storage.SetFileName(copy)
    return {"saved": bool(storage.WriteData(node))}
