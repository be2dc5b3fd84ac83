"""Writes markups as 3D Slicer does, into a folder, and prints, as JSON, the lines that Slicer draws.

A program of its own: slicer-core may crash when its process ends, which must not take pytest along.
"""

import json
import os
import sys
from pathlib import Path

os.environ.pop("DISPLAY", None)
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

try:
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy
except ImportError as error:
    print(json.dumps({"missing": str(error)}))
    sys.exit()

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


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
    sys.stdout.flush()
    os._exit(0)
