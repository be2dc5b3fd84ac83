"""What others did to the segmentation: the user's brush, the Segment Editor's undo, another module."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from HiDiffRefineLib.scene import segmentation_nodes as segmentations
from HiDiffRefineLib.session.blocks import Block, difference, same_flips
from HiDiffRefineLib.session.steps import Deletion, Step

if TYPE_CHECKING:
    from HiDiffRefineLib.scene.scene_session import SceneSession


class ExternalEdits:
    """Keeps a session in agreement with its segmentation node, and tells own writes from others'."""

    def __init__(self, scene: "SceneSession"):
        self._scene = scene
        self._names: dict[str, str] = {}  # of segments in the node, as last seen
        self._seen: dict[str, tuple[int, int] | None] = {}

    def adopting(self, segment_id: str) -> Iterator[None]:
        """Gives the session a segment that it does not have; what is selected stays so."""
        scene, session = self._scene, self._scene.session
        selected = session.selected
        called = segmentations.segment_name(scene.node, segment_id)
        name = self._free(called)
        stamp = segmentations.stamp(scene.node, segment_id)
        yield from session.adopting(name, segmentations.mask_slabs(scene.node, segment_id, scene.volume))
        self.met(segment_id, name)
        self.named(segment_id, called)
        self._seen[segment_id] = stamp  # what was painted meanwhile is still to be looked at
        if selected is not None:
            session.select(selected)

    def met(self, segment_id: str, name: str) -> None:
        """Remembers which segment of the node is which of the session, and that both are alike."""
        scene = self._scene
        scene.keys[segment_id] = scene.session.state.layers[name].key
        self.named(segment_id, name)
        self._seen[segment_id] = segmentations.stamp(scene.node, segment_id)

    def named(self, segment_id: str, name: str) -> None:
        """Remembers what a segment of the node is called there."""
        self._names[segment_id] = name

    def taking_over(self, lock: bool) -> Iterator[None]:
        """See `SceneSession.syncing`."""
        scene = self._scene
        yield from self._taking_segments()
        found: dict[str, list[Block]] = {}
        for segment_id in list(scene.keys):
            blocks = yield from self._differences(segment_id)
            if blocks:
                found[segment_id] = blocks
        if not found or self._went(True, found) or self._went(False, found):
            return
        for segment_id, blocks in found.items():
            scene.session.change_by_hand(scene.name_of(segment_id), blocks, lock)

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

    def _taking_segments(self) -> Iterator[None]:
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
                    yield from self.adopting(segment_id)
                continue
            named = segmentations.segment_name(scene.node, segment_id)
            if named != self._names[segment_id]:
                session.rename(scene.name_of(segment_id), self._free(named))
                self._names[segment_id] = named

    def _differences(self, segment_id: str) -> Generator[None, None, list[Block]]:
        """What the node has otherwise than the session."""
        scene = self._scene
        name, stamp = scene.name_of(segment_id), segmentations.stamp(scene.node, segment_id)
        if name is None or stamp == self._seen.get(segment_id):
            return []
        mask, blocks = scene.session.mask(name), []
        for box, part in segmentations.mask_slabs(scene.node, segment_id, scene.volume):
            block = difference(mask, part, box)
            if block is not None:
                blocks.append(block)
            yield None
        self._seen[segment_id] = stamp
        return blocks

    def _went(self, back: bool, found: dict[str, list[Block]]) -> bool:
        """Whether the session's own undo or redo gives the same: then it is that, and hints follow.

        Steps that changed no voxel (a hint that waits, one that the mask obeyed already) go along.
        """
        scene, session = self._scene, self._scene.session
        steps = session.state.done if back else session.state.undone
        (segment_id, blocks), *more = found.items()
        count = next((n for n, step in enumerate(reversed(steps), 1) if getattr(step, "blocks", True)), 0)
        if more or not count or not all(isinstance(step, Step) for step in steps[-count:]):
            return False
        step = steps[-count]
        if step.key != scene.keys[segment_id] or not same_flips(blocks, step.blocks):
            return False
        for _ in range(count):
            (session.undo if back else session.redo)()
        return True

    def _free(self, name: str) -> str:
        """The name, or one like it where the session has it already, or where it is none."""
        name, taken = name or "Segment", self._scene.session.segments
        return next(
            free for free in (name, *(f"{name} {n}" for n in range(2, len(taken) + 3))) if free not in taken
        )
