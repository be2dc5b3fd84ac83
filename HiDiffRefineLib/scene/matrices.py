"""Where a node's own coordinates lie in the world, which is RAS in millimetres."""

import numpy as np
import slicer
import vtk

from HiDiffRefineLib.errors import VolumeError


def to_world(node) -> np.ndarray:
    """The 4×4 float64 matrix from a node's own RAS to the world's, through all its parent transforms.

    Raises:
        VolumeError: one of the transforms is not linear.
    """
    transform = node.GetParentTransformNode()
    matrix = vtk.vtkMatrix4x4()
    if transform is None:
        return np.eye(4)
    if not transform.IsTransformToWorldLinear():
        raise VolumeError(
            f"'{node.GetName()}' is moved by a transform that is not linear ('{transform.GetName()}').",
            "Harden it first: Data module, right-click the node, 'Harden transform'.",
        )
    transform.GetMatrixTransformToWorld(matrix)
    return as_array(matrix)


def as_array(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """4×4 float64."""
    return slicer.util.arrayFromVTKMatrix(matrix).astype(float)


def as_matrix(array: np.ndarray) -> vtk.vtkMatrix4x4:
    """The same for VTK."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(array, float).ravel().tolist())
    return matrix
