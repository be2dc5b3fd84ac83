"""Real data on turned, flipped and transformed grids, with the shipped refiner; run by `run_in_slicer`."""

import os
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicer
import slicer.util
from scipy.ndimage import distance_transform_edt

from HiDiffRefineLib.runtime.worker import Worker
from HiDiffRefineLib.scene.hint_nodes import new_hint_nodes
from HiDiffRefineLib.scene.matrices import as_matrix
from HiDiffRefineLib.scene.scene_session import SceneSession
from HiDiffRefineLib.scene.segmentation_nodes import new_segmentation
from HiDiffRefineLib.volumes.read import read_labelmap, read_volume
from Testing.scene.application import application_scene
from Testing.scene.made_up import add_transform, agree, click_and_refine, finish, in_node, paint
from Testing.slicer_checks import outcomes
from Testing.volumes.samples import affine

DATA = Path(os.environ["HIDIFF_DATA"]) / "mr_hippocampus"
NEAREST = sitk.sitkNearestNeighbor
RAS_LPS = np.diag([-1.0, -1, 1, 1])
# Radius in voxels of what is drawn too much.
BALL = 5
MOVED = affine(degrees=(8, -5, 12), origin=(30, -4, 7))


def main() -> dict[str, str]:
    return outcomes(globals(), application_scene)


def edited(scene, worker, array, labels, ijk_to_ras, transform, kji):
    """One negative click on a drawn mask: the mask before and after."""
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hippocampus")
    volume.SetIJKToRASMatrix(as_matrix(ijk_to_ras))
    slicer.util.updateVolumeFromArray(volume, np.ascontiguousarray(array))
    if transform is not None:
        volume.SetAndObserveTransformNodeID(add_transform(scene, transform).GetID())
    node = new_segmentation(volume, "drawn")
    node.GetSegmentation().AddEmptySegment("drawn", "drawn")
    editor = scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    session = SceneSession(volume, node, new_hint_nodes(volume, node), editor)
    finish(session.opening(worker.models("refiner-only", "cpu")))
    paint(node, "drawn", np.ascontiguousarray(labels > 0), session)
    finish(session.syncing(lock=False))
    before = in_node(session)
    click_and_refine(session, kji, False)
    after = in_node(session)
    assert agree(session) and not after[kji] and (before != after).any()
    session.close()
    return before, after


def check_a_click_changes_the_same_anatomy(scene, folder):
    file = sorted((DATA / "images").iterdir())[0]
    volume, labels = read_volume(file), read_labelmap(DATA / "labels" / file.name)
    array, ijk_to_ras = np.array(volume.array), volume.ijk_to_ras
    labels, kji = with_a_ball(np.array(labels.array) > 0)
    with Worker() as worker:
        expected = change(scene, worker, array, labels, ijk_to_ras, None, kji)

        flip = np.diag([-1.0, 1, -1, 1])
        flip[[0, 2], 3] = array.shape[2] - 1, array.shape[0] - 1
        k, j, i = kji
        turned = array[::-1, :, ::-1], labels[::-1, :, ::-1], ijk_to_ras @ flip
        there = (array.shape[0] - 1 - k, j, array.shape[2] - 1 - i)
        assert dice(change(scene, worker, *turned, None, there)[::-1, :, ::-1], expected) > 0.95

        # Moved by a transform, from where it lay before: the world's RAS is the same.
        moved_back = np.linalg.inv(MOVED) @ ijk_to_ras
        assert dice(change(scene, worker, array, labels, moved_back, MOVED, kji), expected) > 0.95
        # The head itself turned, by a transform or by its own grid.
        by_transform = change(scene, worker, array, labels, ijk_to_ras, MOVED, kji)
        assert dice(change(scene, worker, array, labels, MOVED @ ijk_to_ras, None, kji), by_transform) > 0.95

        # Scanned on other voxels, the same anatomy at the same place: the image is not quite the same then.
        for spacing, degrees in (((0.8, 0.8, 0.8), (10, -7, 20)), ((0.7, 0.7, 2.0), (10, -7, 20))):
            image = on_other_voxels(array, ijk_to_ras, spacing, degrees)
            drawn = sitk.Resample(as_image(labels > 0, ijk_to_ras), image, sitk.Transform(), NEAREST)
            other, drawn = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(drawn)
            grid = RAS_LPS @ affine_of(image)
            point = np.linalg.inv(grid) @ ijk_to_ras @ [i, j, k, 1]
            there = tuple(np.round(point[2::-1]).astype(int))
            found = change(scene, worker, other, drawn, grid, None, there)
            assert distance_mm((found, grid), (expected, ijk_to_ras)) < 1
            again = as_image(found, grid)
            again = sitk.Resample(again, as_image(labels > 0, ijk_to_ras), sitk.Transform(), NEAREST)
            assert dice(sitk.GetArrayFromImage(again) > 0, expected) > 0.8


def with_a_ball(mask: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
    """A mask and, as far from it as there is room, a ball that is too much; the ball's middle (k, j, i)."""
    away, inner = distance_transform_edt(~mask), (slice(BALL + 1, -BALL - 1),) * 3
    middle = np.unravel_index(away[inner].argmax(), away[inner].shape) + np.array(BALL + 1)
    ball = np.linalg.norm(np.indices(mask.shape) - middle[:, None, None, None], axis=0) <= BALL
    return mask | ball, tuple(int(n) for n in middle)


def change(*arguments) -> np.ndarray:
    before, after = edited(*arguments)
    return before != after


def dice(mask: np.ndarray, other: np.ndarray) -> float:
    found = 2 * (mask & other).sum() / (mask.sum() + other.sum())
    print(f"The changes agree by Dice {found:.3f}", file=sys.stderr)
    return found


def distance_mm(*changes: tuple[np.ndarray, np.ndarray]) -> float:
    """Between the middles of two masks, each with its grid."""
    one, other = (grid @ [*np.argwhere(mask).mean(0)[::-1], 1] for mask, grid in changes)
    return float(np.linalg.norm(one - other))


def as_image(mask: np.ndarray, ijk_to_ras: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(mask.astype(np.float32))
    matrix = RAS_LPS @ ijk_to_ras
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(matrix[:3, 3].tolist())
    return image


def affine_of(image: sitk.Image) -> np.ndarray:
    """4×4 from ijk to LPS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return matrix


def on_other_voxels(array: np.ndarray, ijk_to_ras: np.ndarray, spacing, degrees) -> sitk.Image:
    """The same head on a grid around the same middle, as another scan would have it."""
    image = as_image(array, ijk_to_ras)
    direction = affine(degrees=degrees)[:3, :3]
    size = np.ceil(np.array(image.GetSize()) * image.GetSpacing() * 1.15 / spacing).astype(int)
    middle = image.TransformContinuousIndexToPhysicalPoint((np.array(image.GetSize()) - 1) / 2)
    origin = middle - direction @ ((size - 1) / 2 * spacing)
    grid = (origin.tolist(), list(spacing), direction.ravel().tolist())
    return sitk.Resample(image, size.tolist(), sitk.Transform(), sitk.sitkBSpline, *grid)
