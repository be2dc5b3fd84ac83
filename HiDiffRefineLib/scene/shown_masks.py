"""Masks of a session as its segmentation node shows them: whole segments, and edits that go on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from HiDiffRefineLib.geometry.boxes import Box, slabs, voxel_box
from HiDiffRefineLib.hints.hint import Hint, bounds_ras
from HiDiffRefineLib.scene import segmentation_nodes as segmentations
from HiDiffRefineLib.scene.labelmaps import paste
from HiDiffRefineLib.session.editing import SEED
from HiDiffRefineLib.session.engine import model_name
from HiDiffRefineLib.volumes.provenance import VOXELS, made_here

if TYPE_CHECKING:
    from HiDiffRefineLib.scene.scene_session import SceneSession

# At a time, in a few milliseconds: the user interface waits meanwhile.
WRITTEN_VOXELS = 1_000_000


def show_segments(scene: "SceneSession") -> list[str]:
    """Makes the node have the session's segments, by the session's names; IDs of those that are new there.

    New ones are still empty, with the colours and terminology of the model's labels.
    """
    segmentation, layers = scene.node.GetSegmentation(), scene.session.state.layers
    labels = {label.value: label for label in scene.session.engine.bundle.labels}
    ids, keys = {key: segment_id for segment_id, key in scene.keys.items()}, [x.key for x in layers.values()]
    came = []
    with scene.own_writes():
        for segment_id, key in scene.keys.items():
            if key not in keys and segmentation.GetSegment(segment_id):
                segmentation.RemoveSegment(segment_id)
        for name, layer in layers.items():
            segment_id = ids.get(layer.key, "")
            segment = segmentation.GetSegment(segment_id) if segment_id else None
            if segment is None:
                label = labels.get(layer.label)
                segment_id = segmentations.add_segment(scene.node, name, label, segment_id)
                scene.external.met(segment_id, name)
                came.append(segment_id)
            else:
                segment.SetName(name)
                scene.external.named(segment_id, name)
    return came


def showing(scene: "SceneSession", segment_id: str) -> Iterator[None]:
    """Makes the node show the session's mask of a segment, some slices at a time."""
    layer = scene.session.state.layers[scene.name_of(segment_id)]
    for slab in [] if layer.box is None else slabs(layer.box, WRITTEN_VOXELS):
        show_mask(scene, segment_id, slab)
        yield None
    # What a crash or an undo brings back was made no less by this program.
    if layer.label is not None or layer.given.refined:
        mark_made(scene, segment_id)


def show_mask(scene: "SceneSession", segment_id: str, box: Box) -> None:
    """Makes the node show the session's mask in a box."""
    before = segmentations.mask_in(scene.node, segment_id, scene.volume, box)
    write(scene, segment_id, box, before, scene.session.mask(scene.name_of(segment_id))[box])


def write(scene: "SceneSession", segment_id: str, box: Box, before: np.ndarray, after: np.ndarray) -> None:
    """Changes the node's mask in a box from one to another; see `SegmentWriter.write`."""
    to_local = segmentations.ijk_to_local(scene.node, scene.volume)
    with scene.own_writes():
        scene.writer.write(segment_id, box, before, after, to_local)


def mark_made(scene: "SceneSession", segment_id: str, automatic: bool = False) -> None:
    """Says in a segment that it is in progress, and how it came about, for whoever it is exported to.

    Args:
        automatic: whether no user had a part in it. How many voxels it has is said, too: others may change
            them with no session open, and leave the tags (see `segmentation_nodes.label_of`).
    """
    engine, layer = scene.session.engine, scene.session.state.layers[scene.name_of(segment_id)]
    steps, hints = engine.refiner_bundle.settings["steps"], len(layer.given.hints)
    parameters = {"bundle": model_name(engine), "seed": SEED, "steps": steps, "hints": hints}
    if automatic:
        parameters[VOXELS] = segmentations.count_voxels(scene.node, segment_id)
    made = made_here(automatic, **parameters)
    with scene.own_writes():
        segmentations.mark(scene.node, segment_id, completed=False, made=made)


class ShownEdit:
    """An edit of a segment as the node shows it, preview upon preview."""

    def __init__(self, scene: "SceneSession", segment_id: str):
        self._scene = scene
        self._segment_id = segment_id
        self._mask = scene.session.mask(scene.name_of(segment_id))
        self._shown: list[tuple[Box, np.ndarray]] = []
        self._saved = False

    def __bool__(self) -> bool:
        """Whether there is anything to be seen of it yet."""
        return bool(self._shown)

    def show(self, box: Box, mask: np.ndarray) -> None:
        """Shows a preview, on top of the session's mask and the previews shown so far."""
        before = self._mask[box].copy()
        for earlier in self._shown:
            paste(before, box, earlier)
        if not self._saved and (before != mask).any():
            self._saved = True
            with self._scene.own_writes():
                self._scene.saving()
        write(self._scene, self._segment_id, box, before, mask)
        self._shown = [*(earlier for earlier in self._shown if earlier[0] != box), (box, mask)]

    def settle(self, hints: tuple[Hint, ...]) -> None:
        """Shows what became of the edit where that is not what its previews showed.

        What others changed there meanwhile stays in the node, for `syncing`.

        Args:
            hints: that it was to obey; no preview may have reached them.
        """
        for n, (box, part) in enumerate(self._shown):
            before = part.copy()
            for later in self._shown[n + 1 :]:
                paste(before, box, later)
            write(self._scene, self._segment_id, box, before, self._mask[box])
        for hint in hints:
            box = voxel_box(self._scene.session.state.grid, bounds_ras(hint))
            show_mask(self._scene, self._segment_id, box)
        mark_made(self._scene, self._segment_id)
