"""Loads images as 3D Slicer does and says where their voxels are; run by `in_slicer`."""

import json
from pathlib import Path

import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy


def main(asked: str) -> list[dict]:
    return [read(path, value) for path, value in json.loads(Path(asked).read_text())]


def read(path: str, value: int | None) -> dict:
    """Of a file: its grid, and the voxels (k, j, i) of a value, or above 0."""
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(path)
    assert storage.ReadData(node), storage.GetUserMessages().GetAllMessagesAsString()
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    image = node.GetImageData()
    shape = image.GetDimensions()[::-1]
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
    held = array > 0 if value is None else array == value
    return {
        "shape_kji": shape,
        "voxels_kji": [list(map(int, place)) for place in zip(*held.nonzero(), strict=True)],
        "ijk_to_ras": [[matrix.GetElement(r, c) for c in range(4)] for r in range(4)],
    }
