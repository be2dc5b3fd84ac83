"""Segments that come, go and change their names: history finds each of them again."""

import numpy as np
import pytest

from HiDiffRefineLib.errors import SessionError, VolumeError
from HiDiffRefineLib.hints.hint import Click
from HiDiffRefineLib.inference.pipeline import segment
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.session.journal import restore
from HiDiffRefineLib.session.session import RefinementSession
from Testing.session.acting import noise, point_in, told

ONE, TWO = "anterior hippocampus", "posterior hippocampus"


@pytest.fixture
def session(pipeline, tmp_path):
    session = RefinementSession(noise(1), pipeline, tmp_path / "session.jsonl")
    session.segment()
    hint(session, 0)
    list(session.refine())
    return session


def hint(session, n: int) -> None:
    """A click on the n-th voxel that no segment has."""
    voxel_kji = np.argwhere(session.labelmap() == 0)[n]
    session.add_click(point_in(session.engine.volume, voxel_kji))


def copies(session) -> list:
    return [(name, session.mask(name).copy(), session.state.layers[name].given) for name in session.segments]


def same(a: list, b: list) -> bool:
    return len(a) == len(b) and all(
        x[0] == y[0] and np.array_equal(x[1], y[1]) and x[2] == y[2] for x, y in zip(a, b, strict=True)
    )


def restored(session, pipeline):
    return restore(session.journal.path, session.engine.volume, pipeline)


def test_every_step_is_undone_and_done_again_and_is_in_the_journal(session, pipeline):
    session.set_prior(np.zeros(session.mask().shape, bool), "other")
    seen = [copies(session)]
    hint(session, 100)
    for action in (
        lambda: session.rename("other", "rest"),
        lambda: list(session.refine()),  # takes the hint's place, though the segment had another name then
        lambda: session.rename(TWO, "tail"),
        lambda: session.delete(ONE),
        lambda: session.delete("rest"),
        lambda: hint(session, 200),
    ):
        action()
        seen.append(copies(session))
        assert told(restored(session, pipeline)) == told(session)
    (_, mask, _), (*_, expected) = seen[0][2], seen[0]
    seen[1][2] = ("rest", mask, expected[2])
    end = told(session)
    for expected in seen[-2::-1]:
        assert session.undo() and same(copies(session), expected)
    for expected in seen[1:]:
        assert session.redo() and same(copies(session), expected)
    assert not session.redo() and told(session) == end == told(restored(session, pipeline))


def test_the_next_segment_is_selected_in_a_deleted_ones_place(session):
    session.delete(ONE)
    assert session.segments == [TWO] and session.selected == TWO
    session.delete(TWO)
    assert session.segments == [] and session.selected is None and not session.labelmap().any()
    session.undo()
    session.undo()
    assert session.segments == [ONE, TWO] and session.selected == ONE and session.hints


def test_what_was_deleted_comes_back_beside_what_took_its_name(session, pipeline):
    mask = session.mask(ONE).copy()
    session.delete(ONE)
    session.set_prior(np.zeros_like(mask), ONE)
    session.undo()
    assert session.segments == [f"{ONE} 2", TWO, ONE] and not session.mask(ONE).any()
    assert np.array_equal(session.mask(f"{ONE} 2"), mask)
    before = told(session)
    assert session.undo() and not np.array_equal(session.mask(f"{ONE} 2"), mask)
    assert session.redo() and told(session) == before
    assert session.redo() and session.segments == [TWO, ONE]
    assert told(restored(session, pipeline)) == told(session)


def test_names_that_make_no_sense_are_refused(session):
    before = told(session)
    session.rename(ONE, ONE)
    for nonsense in (
        lambda: session.rename(ONE, TWO),
        lambda: session.rename("x", "y"),
        lambda: session.delete("x"),
    ):
        with pytest.raises(SessionError) as caught:
            nonsense()
        assert caught.value.remedy and told(session) == before


def test_an_edit_ends_where_its_segment_is_renamed(session):
    hint(session, 5)
    edit = session.refine()
    next(edit)
    session.rename(ONE, "head")
    assert list(edit) == [] and not session.pending and session.selected == "head"


def test_regions_of_interest_are_those_of_the_command_line(pipeline):
    volume = noise(2)
    low, high = RefinementSession(volume, pipeline).state.grid.bounds_ras()
    rois = [RegionOfInterest(tuple(low + share * (high - low)), 8) for share in (0.35, 0.7)]
    expected, _ = segment(pipeline, volume, rois, prior_only=True)
    session = RefinementSession(volume, pipeline)
    session.segment(rois)
    assert expected.any() and np.array_equal(session.labelmap(), expected)
    hint(session, 0)
    assert len(list(session.refine())) == 2
    with pytest.raises(VolumeError, match="holds too little"):
        RefinementSession(volume, pipeline).segment([RegionOfInterest((900.0, 0, 0), 8)])


def test_regions_of_interest_are_in_the_journal(pipeline, tmp_path):
    volume = noise(2)
    session = RefinementSession(volume, pipeline, tmp_path / "session.jsonl")
    session.segment([RegionOfInterest(tuple(session.state.grid.center_ras), 9)])
    again = restored(session, pipeline)
    session.journal = None
    for one in (session, again):
        hint(one, 0)
        list(one.refine())
    assert told(again) == told(session) == told(restored(again, pipeline))


def test_a_call_from_within_a_call_is_refused(session):
    before = told(session)
    session.delete(ONE)
    session.delete(TWO)

    def progress(share, what):
        with pytest.raises(SessionError, match="busy"):
            session.undo()

    session.segment(progress=progress)
    for _ in range(2):
        session.delete(session.segments[0])
    for _ in range(4):
        session.undo()
    assert len(session.segments) == 4 and told(session) != before


def test_hints_that_a_saved_mask_obeys_are_recalled(pipeline, tmp_path):
    session = RefinementSession(noise(1), pipeline, tmp_path / "recalled.jsonl")
    mask = np.zeros(session.engine.volume.array.shape, bool)
    mask[4:8, 4:8, 4:8] = True
    session.set_prior(mask, "saved")
    inside, outside = (point_in(session.engine.volume, kji) for kji in ((5, 5, 5), (2, 2, 2)))
    session.recall_hints("saved", [Click(inside, True), Click(outside, True)])
    assert [hint.positive for hint in session.hints] == [True] and not session.pending
    assert not session.undo()
    assert told(restored(session, pipeline)) == told(session)
    with pytest.raises(SessionError, match="already"):
        session.recall_hints("saved", [])


def test_a_recalled_hint_outside_a_cropped_volume_is_left_out(session):
    session.set_prior(np.ones(session.engine.grid.shape_kji, bool), "all")
    far, near = Click((900, 0, 0), True), Click(session.engine.grid.center_ras, True)
    session.recall_hints("all", [near, far])
    assert session.hints == (near,)
    for _ in session.refine():
        pass
