"""Odd nodes, and sessions on them: broken_in_slicer.py COUNT SEED; run by `run_in_slicer`."""

import numpy as np
import slicer
import slicer.util

from HiDiffRefineLib.errors import HiDiffRefineError
from HiDiffRefineLib.scene.scene_session import SceneSession
from HiDiffRefineLib.scene.segmentation_nodes import count_voxels, segment_ids
from HiDiffRefineLib.scene.volume_table_node import measured
from Testing.scene.application import application_scene
from Testing.scene.made_up import (
    add_volume,
    agree,
    click,
    click_and_refine,
    cube,
    finish,
    in_node,
    paint,
    segmented,
)
from Testing.scene.obedient import ObedientModels
from Testing.scene.oddities import BEFORE_A_SESSION, IN_A_SESSION, Nodes
from Testing.tally import Tally, is_sentence


def main(count: str, seed: str) -> dict:
    tally = Tally()
    for n in range(int(count)):
        random = np.random.default_rng([int(seed), n])
        changes = [
            BEFORE_A_SESSION[i] for i in random.integers(len(BEFORE_A_SESSION), size=random.integers(1, 4))
        ]
        told = f"scene {seed} {n}: {', '.join(change.__name__ for change in changes)}"
        with application_scene() as scene:
            nodes = _nodes(scene)
            for change in changes:
                change(nodes, random)
            tally.take(told, lambda nodes=nodes, random=random: _story(nodes, random))
    return tally.as_dict()


def _nodes(scene) -> Nodes:
    """As a session has left them: two segments, points and strokes."""
    volume = add_volume(scene)
    session = segmented(scene, volume)
    click_and_refine(session, (8, 25, 14))
    click_and_refine(session, (9, 9, 15), False)
    paint(session.hint_nodes.strokes, f"− {session.selected}", cube(8, 10, 10, 2), session)
    session.take_hints()
    finish(session.refining())
    session.close()
    voxels = slicer.util.arrayFromVolume(volume).copy()
    return Nodes(volume, session.node, session.hint_nodes, voxels)


def _story(nodes: Nodes, random: np.random.Generator) -> None:
    """A session from its opening to its end. Whatever is refused must leave the nodes as they were."""
    scene, gone = nodes.scene, []
    before = _content(nodes)
    editor = scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    count = scene.GetNumberOfNodes()
    session = None
    try:
        session = SceneSession(nodes.volume, nodes.segmentation, nodes.hints, editor, gone=gone.append)
        finish(session.opening(ObedientModels()))
    except Exception as error:
        if session is not None:
            session.close()
        if not isinstance(error, HiDiffRefineError):
            raise
        assert _content(nodes) == before, "refused, but changed"
        assert scene.GetNumberOfNodes() == count, "left a node"
        raise
    acts = [
        lambda: finish(session.segmenting((), lambda share, what: None)),
        lambda: session.add_segment("further"),
        lambda: _click(session, (8, 26, 15), True),
        lambda: _click(session, (15, 20, 10), False),
        session.undo,
        session.redo,
        lambda: session.selected and session.accept(),
        lambda: finish(measured(nodes.segmentation, nodes.volume)),
        lambda: session.keys and session.select(next(iter(session.keys))),
    ]
    try:
        for _ in range(4):
            odd = random.random() < 0.3
            if odd:
                IN_A_SESSION[random.integers(len(IN_A_SESSION))](nodes, random)
            if gone:
                return
            try:
                finish(session.syncing(bool(random.integers(2))))
                if session.selected is not None:
                    acts[random.integers(len(acts))]()
                    assert agree(session), "node and session differ"
            except HiDiffRefineError as error:
                assert is_sentence(error), repr(error)
    finally:
        session.close()


def _click(session: SceneSession, kji: tuple, positive: bool) -> None:
    click(session, kji, positive)
    session.take_hints()
    finish(session.refining())
    assert in_node(session)[kji] == positive, "a hint does not hold"


def _content(nodes: Nodes) -> list:
    """All that a user has in the nodes."""
    found = []
    for node in (nodes.segmentation, nodes.hints.strokes):
        for segment_id in segment_ids(node):
            segment = node.GetSegmentation().GetSegment(segment_id)
            if count := count_voxels(node, segment_id):
                found.append((segment_id, segment.GetName(), segment.GetLabelValue(), count))
    for node in (nodes.hints.positive, nodes.hints.negative):
        for n in range(node.GetNumberOfControlPoints()):
            found.append((node.GetNthControlPointDescription(n), node.GetNthControlPointPositionStatus(n)))
    return found
