"""Where a node's own coordinates lie in the world, which is RAS in millimetres."""

import numpy as np
import slicer
import vtk

from HiDiffRefineLib.errors import VolumeError

# How much more a transform may stretch one way than another; beyond it, there is no way back from the world.
MOST_UNEVEN = 1e6


def to_world(node) -> np.ndarray:
    """The 4×4 float64 matrix from a node's own RAS to the world's, through all its parent transforms.

    Raises:
        VolumeError: one of the transforms is not linear, or they can't be undone.
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
    result = as_array(matrix)
    if not np.isfinite(result).all() or np.linalg.cond(result[:3, :3]) > MOST_UNEVEN:
        raise VolumeError(
            f"'{node.GetName()}' is moved by a transform that makes it flat, or is made of no numbers"
            f" ('{transform.GetName()}').",
            "Correct the transform in the Transforms module, or take the node out of it.",
        )
    return result


def as_array(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """4×4 float64."""
    return slicer.util.arrayFromVTKMatrix(matrix).astype(float)


def as_matrix(array: np.ndarray) -> vtk.vtkMatrix4x4:
    """The same for VTK."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(array, float).ravel().tolist())
    return matrix
