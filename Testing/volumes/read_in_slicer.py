"""Loads .seg.nrrd files as 3D Slicer does and gives what Slicer sees; run by `run_in_slicer`."""

import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy


def ijk_to_ras(image) -> list[list[float]]:
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return [[matrix.GetElement(r, c) for c in range(4)] for r in range(4)]


def describe(node, segment_id: str) -> dict:
    segment = node.GetSegmentation().GetSegment(segment_id)
    tag = vtk.mutable("")
    segment.GetTag("TerminologyEntry", tag)
    image = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(segment_id, image)
    # VTK's extents are ranges of ijk indices, its arrays run k, j, i.
    i0, i1, j0, j1, k0, k1 = image.GetExtent()
    scalars = image.GetPointData().GetScalars()
    voxels = []
    if scalars:
        array = vtk_to_numpy(scalars).reshape(k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
        voxels = [[int(k + k0), int(j + j0), int(i + i0)] for k, j, i in zip(*array.nonzero(), strict=True)]
    return {
        "name": segment.GetName(),
        "color": segment.GetColor(),
        "label_value": segment.GetLabelValue(),
        "terminology": str(tag),
        "ijk_to_ras": ijk_to_ras(image),
        "voxels_kji": voxels,
    }


def main(*paths: str) -> dict[str, dict]:
    return {path: read(path) for path in paths}


def read(path: str) -> dict:
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(path)
    if not storage.ReadData(node):
        return {"error": storage.GetUserMessages().GetAllMessagesAsString()}
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    return {
        "source": segmentation.GetSourceRepresentationName(),
        "segments": [describe(node, segment_id) for segment_id in ids],
    }
