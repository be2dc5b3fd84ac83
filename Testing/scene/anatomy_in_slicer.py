"""Real data on turned, flipped and transformed grids, with the shipped refiner; run by `run_in_slicer`."""

import os
from pathlib import Path

import numpy as np
import slicer
import slicer.util

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
    session = SceneSession(volume, node, new_hint_nodes(volume), editor)
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
    array, labels, ijk_to_ras = np.array(volume.array), np.array(labels.array), volume.ijk_to_ras
    kji = tuple(np.argwhere(labels > 0)[len(np.argwhere(labels > 0)) // 2])
    with Worker() as worker:
        _, expected = edited(scene, worker, array, labels, ijk_to_ras, None, kji)
        flip = np.diag([-1.0, 1, -1, 1])
        flip[[0, 2], 3] = array.shape[2] - 1, array.shape[0] - 1
        k, j, i = kji
        flipped = (array.shape[0] - 1 - k, j, array.shape[2] - 1 - i)
        _, after = edited(
            scene, worker, array[::-1, :, ::-1], labels[::-1, :, ::-1], ijk_to_ras @ flip, None, flipped
        )
        same(after[::-1, :, ::-1], expected, 0.999)
        # Moved by a transform, from where it lay before: the world's RAS is the same.
        moved_back = np.linalg.inv(MOVED) @ ijk_to_ras
        same(edited(scene, worker, array, labels, moved_back, MOVED, kji)[1], expected, 0.999)
        # The head itself turned: the network sees it turned, so the rest of the mask may differ a little.
        same(edited(scene, worker, array, labels, MOVED @ ijk_to_ras, None, kji)[1], expected, 0.98)
        same(edited(scene, worker, array, labels, ijk_to_ras, MOVED, kji)[1], expected, 0.98)


def same(mask: np.ndarray, expected: np.ndarray, share: float) -> None:
    """Whether so many of all voxels agree."""
    assert (mask == expected).mean() > share, (mask == expected).mean()
