"""Checks of scenes that are saved and loaded again; run by `run_in_slicer`."""

import numpy as np

from HiDiffRefineLib.scene.hint_nodes import hint_nodes_of
from HiDiffRefineLib.scene.volume_table_node import measured
from Testing.scene.application import application_scene
from Testing.scene.made_up import (
    add_transform,
    add_volume,
    agree,
    click,
    click_and_refine,
    cube,
    finish,
    in_node,
    open_session,
    paint,
    ras_of,
    segmented,
)
from Testing.slicer_checks import outcomes
from Testing.volumes.samples import OBLIQUE_LAS, affine


def main() -> dict[str, str]:
    return outcomes(globals(), application_scene)


def check_hints_and_masks_come_back_from_an_mrb(scene, folder):
    save_load_and_go_on(scene, folder, affine((0.8, 0.9, 2.5), (10, -20, 30)), 1)


def check_the_same_where_slicer_turns_left_handed_axes_round_as_it_loads(scene, folder):
    save_load_and_go_on(scene, folder, OBLIQUE_LAS, -1)


def save_load_and_go_on(scene, folder, ijk_to_ras, order: int) -> None:
    """Order: of the slices after loading."""
    volume = add_volume(scene, ijk_to_ras)
    volume.SetAndObserveTransformNodeID(add_transform(scene, affine(origin=(5, 6, 7))).GetID())
    session = segmented(scene, volume)
    one, two = session.keys
    click_and_refine(session, (8, 25, 14))
    paint(session.hint_nodes.strokes, f"− {one}", cube(8, 10, 10, 2), session)
    session.take_hints()
    finish(session.refining())
    click_and_refine(session, (9, 9, 15), False)
    session.select(two)
    click_and_refine(session, (15, 25, 14))
    click(session, (3, 30, 14))  # not refined yet
    masks = [in_node(session, segment_id) for segment_id in (one, two)]
    session.close()

    assert scene.WriteToMRB(str(folder / "saved.mrb"))
    scene.Clear(False)
    assert scene.ReadFromMRB(str(folder / "saved.mrb"))

    def node(name):
        return scene.GetFirstNodeByName(name)

    hints = hint_nodes_of(node("segmentation"))
    session = open_session(scene, node("head"), node("segmentation"), hints)
    assert list(session.keys) == [one, two]
    for segment_id, mask in zip((one, two), masks, strict=True):
        np.testing.assert_array_equal(in_node(session, segment_id)[::order], mask)
    state = session.session.state
    told = [state.layers[session.name_of(segment_id)].given for segment_id in (one, two)]
    assert [len(t.hints) for t in told] == [3, 1] and not any(t.pending for t in told)
    assert not session.undo(), "nothing was done in this session yet"
    session.select(two)
    assert session.take_hints() == 1
    finish(session.refining())
    assert in_node(session, two)[::order][3, 30, 14] and agree(session)
    session.select(one)
    click_and_refine(session, (range(24)[::order][8], 28, 20))
    mask = in_node(session)[::order]
    assert mask[8, 28, 20] and mask[8, 25, 14] and not mask[9, 9, 15]
    assert not mask[cube(8, 10, 10, 2)].any() and agree(session)
    paint(session.hint_nodes.strokes, f"+ {one}", cube(2, 30, 20)[::order], session)
    assert session.take_hints() == 1
    finish(session.refining())
    assert in_node(session)[::order][cube(2, 30, 20)].all() and agree(session)


def check_strokes_can_be_painted_where_none_had_been_saved(scene, folder):
    session = segmented(scene)
    session.close()
    assert scene.WriteToMRB(str(folder / "saved.mrb"))
    scene.Clear(False)
    assert scene.ReadFromMRB(str(folder / "saved.mrb"))
    volume, segmentation = (scene.GetFirstNodeByName(name) for name in ("head", "segmentation"))
    session = open_session(scene, volume, segmentation, hint_nodes_of(segmentation))
    paint(session.hint_nodes.strokes, f"+ {session.selected}", cube(2, 30, 20), session)
    assert session.take_hints() == 1
    finish(session.refining())
    assert in_node(session)[cube(2, 30, 20)].all() and agree(session)


def check_hints_go_along_when_the_volume_is_moved_between_sessions(scene, folder):
    volume = add_volume(scene)
    session = segmented(scene, volume)
    click_and_refine(session, (8, 25, 14))
    click_and_refine(session, (8, 10, 10), False)
    session.close()
    moved = add_transform(scene, affine(degrees=(5, 10, 20), origin=(5, 6, 7))).GetID()
    for node in (volume, session.node):
        node.SetAndObserveTransformNodeID(moved)
    session = open_session(scene, volume, session.node, session.hint_nodes)
    points = [hint.point_ras for hint in session.session.hints]
    np.testing.assert_allclose(
        points, [ras_of(session, (8, 25, 14)), ras_of(session, (8, 10, 10))], atol=1e-3
    )


def check_the_table_of_volumes_tells_small_and_cut_segments(scene, folder):
    session = open_session(scene)
    for place in ((8, 10, 10, 2), (21, 10, 10)):
        segment_id = session.node.GetSegmentation().AddEmptySegment("", "x")
        paint(session.node, segment_id, cube(*place), session)
    job = measured(session.node, scene.GetFirstNodeByName("head"))
    while True:
        try:
            next(job)
        except StopIteration as end:
            table = end.value
            break
    told = [[table.GetCellText(row, column) for column in (3, 4)] for row in range(2)]
    assert told == [["16 mm³", ""], ["at least 0.1 ml", "yes"]], told
