"""What others did to the segmentation: the user's brush, the Segment Editor's undo, another module."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from HiDiffRefineLib.scene import segmentation_nodes as segmentations
from HiDiffRefineLib.scene.labelmaps import within
from HiDiffRefineLib.session.blocks import Block, apply, difference
from HiDiffRefineLib.session.steps import Deletion, Step

if TYPE_CHECKING:
    from HiDiffRefineLib.scene.scene_session import SceneSession


class ExternalEdits:
    """Keeps a session in agreement with its segmentation node, and tells own writes from others'."""

    def __init__(self, scene: "SceneSession"):
        self._scene = scene
        self._names: dict[str, str] = {}  # of segments in the node, as last seen
        self._seen: dict[str, tuple[int, int] | None] = {}
        self._locked: np.ndarray | None = None  # edited by hand
        self._masking = False

    def adopt(self, segment_id: str) -> None:
        """Gives the session a segment that it does not have; what is selected stays so."""
        scene, session = self._scene, self._scene.session
        selected = session.selected
        name = self._free(segmentations.segment_name(scene.node, segment_id))
        session.set_prior(segmentations.whole_mask(scene.node, segment_id, scene.volume), name)
        self.met(segment_id, name)
        if selected is not None:
            session.select(selected)

    def met(self, segment_id: str, name: str) -> None:
        """Remembers which segment of the node is which of the session."""
        scene = self._scene
        scene.keys[segment_id] = scene.session.state.layers[name].key
        self._names[segment_id] = segmentations.segment_name(scene.node, segment_id)
        self._seen[segment_id] = segmentations.stamp(scene.node, segment_id)

    def taking_over(self, lock: bool) -> Iterator[None]:
        """See `SceneSession.syncing`."""
        scene = self._scene
        self._take_segments()
        found: dict[str, Block] = {}
        for segment_id in list(scene.keys):
            block = self._difference(segment_id)
            if block is not None:
                found[segment_id] = block
            yield None
        if not found or self._went(True, found) or self._went(False, found):
            return
        scene.writer.forget_states()
        for segment_id, block in found.items():
            name = scene.name_of(segment_id)
            mask = scene.session.mask(name).copy()
            apply(mask, block)
            scene.session.set_mask(name, mask)
            if lock:
                if self._locked is None:
                    self._locked = np.zeros(mask.shape, bool)
                self._locked[block.box] |= block.flips()
                scene.session.lock(self._locked)

    def apply_masking(self) -> None:
        """Locks what the Segment Editor's masking protects, as well as what was locked before."""
        scene = self._scene
        to_local = segmentations.ijk_to_local(scene.node, scene.volume)
        masked = scene.writer.masked(scene.volume.array, to_local)
        if masked is None and not self._masking:
            return
        self._masking = masked is not None
        scene.session.unlock()
        for locked in (self._locked, masked):
            if locked is not None:
                scene.session.lock(locked)

    def show_segments(self) -> list[str]:
        """Makes the node have the session's segments, by the session's names; IDs of those that it lacked."""
        scene = self._scene
        segmentation = scene.node.GetSegmentation()
        came = []
        for segment_id in list(scene.keys):
            name, segment = scene.name_of(segment_id), segmentation.GetSegment(segment_id)
            if name is None and segment:
                segmentation.RemoveSegment(segment_id)
            elif name is not None and not segment:
                segmentation.AddEmptySegment(segment_id, name)
                came.append(segment_id)
            elif name is not None:
                segment.SetName(name)
            if name is not None:
                self._names[segment_id] = name
        return came

    @contextmanager
    def own_writes(self) -> Iterator[None]:
        """After it, segments count as seen that did so before."""
        node, keys = self._scene.node, self._scene.keys
        known = [
            segment_id
            for segment_id in keys
            if segmentations.stamp(node, segment_id) == self._seen.get(segment_id)
        ]
        try:
            yield
        finally:
            for segment_id in known:
                self._seen[segment_id] = segmentations.stamp(node, segment_id)

    def _take_segments(self) -> None:
        """Segments that came, went or changed their names."""
        scene, session = self._scene, self._scene.session
        present = segmentations.segment_ids(scene.node)
        for segment_id in scene.keys:
            name = scene.name_of(segment_id)
            if name is not None and segment_id not in present:
                session.delete(name)
        for segment_id in present:
            done = session.state.done
            if scene.name_of(segment_id) is None:
                deleted = done[-1] if done else None
                if isinstance(deleted, Deletion) and deleted.key == scene.keys.get(segment_id):
                    session.undo()  # the Segment Editor's undo brought it back
                else:
                    self.adopt(segment_id)
                continue
            named = segmentations.segment_name(scene.node, segment_id)
            if named != self._names[segment_id]:
                session.rename(scene.name_of(segment_id), self._free(named))
                self._names[segment_id] = named

    def _difference(self, segment_id: str) -> Block | None:
        """What the node has otherwise than the session; None if nothing."""
        scene = self._scene
        name, stamp = scene.name_of(segment_id), segmentations.stamp(scene.node, segment_id)
        if name is None or stamp == self._seen.get(segment_id):
            return None
        mask = scene.session.mask(name)
        whole = tuple(slice(0, n) for n in mask.shape)
        found = segmentations.segment_mask(scene.node, segment_id, scene.volume)
        block = difference(mask, within(found, whole))
        self._seen[segment_id] = stamp
        return block

    def _went(self, back: bool, found: dict[str, Block]) -> bool:
        """Whether the session's own undo or redo gives the same: then it is that, and hints follow.

        Steps that changed no voxel (a hint that waits, one that the mask obeyed already) go along.
        """
        scene, session = self._scene, self._scene.session
        go, return_ = (session.undo, session.redo) if back else (session.redo, session.undo)
        steps = session.state.done if back else session.state.undone
        (segment_id, block), *more = found.items()
        count = next((n for n, step in enumerate(reversed(steps), 1) if getattr(step, "blocks", True)), 0)
        if more or not count or getattr(steps[-count], "key", None) != scene.keys[segment_id]:
            return False
        if not all(isinstance(step, Step) for step in steps[-count:]):
            return False
        mask = scene.session.mask(scene.name_of(segment_id)).copy()
        apply(mask, block)
        step = steps[-count]
        for _ in range(count):
            go()
        if np.array_equal(mask, session.mask(scene.name_of(segment_id))):
            (scene.writer.undone if back else scene.writer.redone)(step)
            return True
        for _ in range(count):
            return_()
        return False

    def _free(self, name: str) -> str:
        """The name, or one like it where the session has it already."""
        taken = self._scene.session.segments
        return next(
            free for free in (name, *(f"{name} {n}" for n in range(2, len(taken) + 3))) if free not in taken
        )
