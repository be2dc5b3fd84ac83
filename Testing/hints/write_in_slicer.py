"""Writes markups as 3D Slicer does, into a folder, and gives the lines that Slicer draws.

Run by `run_in_slicer`.
"""

from pathlib import Path

import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

POINTS_RAS = [(1, 2, 3), (10, -5, 4), (20, 8, 9.5), (25, 30, -2), (7, 31, 12)]


def main(folder: str) -> dict[str, list]:
    scene = slicer.vtkMRMLScene()
    drawn = {}
    for kind in ("Fiducial", "Line", "Curve", "ClosedCurve"):
        node = scene.AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node")
        for point in POINTS_RAS[:2] if kind == "Line" else POINTS_RAS:
            node.AddControlPoint(vtk.vtkVector3d(*point))
        drawn[kind] = [list(map(float, point)) for point in POINTS_RAS]
        if kind == "Fiducial":
            node.UnsetNthControlPointPosition(1)
            del drawn[kind][1]
        else:
            drawn[kind] = vtk_to_numpy(node.GetCurvePoints().GetData()).tolist()
        storage = slicer.vtkMRMLMarkupsJsonStorageNode()
        scene.AddNode(storage)
        storage.SetFileName(str(Path(folder) / f"{kind}.mrk.json"))
        storage.WriteData(node)
    return drawn
