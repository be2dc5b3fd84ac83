"""Promises 1 to 3 over whole sessions, whatever the network says."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from HiDiffRefineLib.errors import ConfigError, HiDiffRefineError, HintError, SessionError, VolumeError
from HiDiffRefineLib.geometry.boxes import voxel_box, whole_box
from HiDiffRefineLib.hints.rasterize import hint_labels
from HiDiffRefineLib.session.editing import edit_looks
from HiDiffRefineLib.session.session import RefinementSession
from HiDiffRefineLib.volumes.volume import Volume
from Testing.session.acting import EDITS, HINTS, MOVES, OTHERS, act, noise, point_in, told

ONE, TWO = "anterior hippocampus", "posterior hippocampus"


@pytest.fixture
def session(pipeline):
    rng = np.random.default_rng(0)
    session = RefinementSession(Volume(rng.random((16, 24, 40)), np.diag([1.0, 1, 2, 1])), pipeline)
    mask = np.zeros((16, 24, 40), bool)
    mask[4:8, 4:10, 4:10] = True
    session.set_prior(mask, "cube")
    return session


@pytest.fixture
def fuzzy(session, monkeypatch):
    """A refiner that finds a ball around each positive click, the less surely the further from it."""

    class Fuzzy(torch.nn.Module):
        def encode(self, condition):
            return [condition[:, 4:5]]

        def denoise(self, state, prior, share, features):
            return 2 + features[0].clamp(min=1e-9).log()

    monkeypatch.setitem(session.engine.pipeline._networks, "refiner", Fuzzy())


def at(*voxel_kji):
    return np.array(voxel_kji[::-1]) * [1.0, 1, 2]


def copies(session) -> dict:
    return {name: (layer.mask.copy(), layer.given) for name, layer in session.state.layers.items()}


def same(a, b) -> bool:
    return np.array_equal(a[0], b[0]) and a[1] == b[1]


def reach(session) -> np.ndarray:
    """The voxels that an edit of the selected segment may change now."""
    state = session.state
    layer, free = state.layers[session.selected], np.zeros(state.grid.shape_kji, bool)
    for look in edit_looks(layer, state.grid, session.engine.pipeline):
        free[voxel_box(state.grid, look.region.bounds_ras())] = True
    for name, other in state.layers.items():
        if name != session.selected:
            free &= ~other.mask
    return free & ~state.locked


def edited(history: list, name: str, before):
    """Takes the hints that an edit obeys out of a history; what was before them."""
    for n in reversed(range(len(history))):
        if history[n][0] == name:
            if history[n][3] not in HINTS:
                break
            before = history.pop(n)[1]
    return before


@settings(max_examples=50)
@given(st.integers(0, 100_000))
def test_hints_hold_edits_are_local_and_nothing_is_lost(pipeline, seed):
    rng = np.random.default_rng(seed)
    session = RefinementSession(noise(seed), pipeline)
    if rng.random() < 0.7:
        session.segment()
    session.set_prior(rng.random(session.engine.grid.shape_kji) < rng.choice([0, 0.01]), "other")
    history, undone = [], []  # of each step: segment, full copies before and after, action
    for action in rng.choice(HINTS + 2 * EDITS + MOVES + OTHERS, 14):
        before, free, steps = copies(session), reach(session), len(session.state.done)
        try:
            act(session, action, rng)
        except HiDiffRefineError as error:
            assert error.message and error.remedy
            assert all(same(before[name], now) for name, now in copies(session).items())
            continue
        after = copies(session)
        moved = {name for name in after if not same(before[name], after[name])}
        if action in ("undo", "redo"):
            source, target = (history, undone) if action == "undo" else (undone, history)
            if source:
                name, old, new, _ = source[-1]
                target.append(source.pop())
                assert same(after[name], old if action == "undo" else new)
                assert moved <= {name}
            else:
                assert not moved
        elif action == "extent":
            name, old, _, edit = history[-1]
            assert moved <= {name} == {session.selected}
            stays = session.state.protected(name, whole_box(old[0].shape))
            assert not ((before[name][0] != after[name][0]) & stays).any()
            if moved:
                undone.clear()
            history[-1] = (name, old, after[name], edit)
        elif action in HINTS or action in EDITS or moved:
            name = session.selected if action != "set_mask" else moved.pop()
            old = before[name]
            assert moved <= {name}
            if action in EDITS:
                assert not ((old[0] != after[name][0]) & ~free).any()
                assert after[name][1] == (old[1].hints, len(old[1].hints))
                old = edited(history, name, old)
            history.append((name, old, after[name], action))
            undone.clear()
            assert len(session.state.done) == len(history)
        else:
            assert len(session.state.done) == steps
        for layer in session.state.layers.values():
            said = hint_labels(layer.given.hints[: layer.given.refined], session.engine.grid)
            assert layer.mask[said > 0].all() and not layer.mask[said < 0].any()


def test_the_segmentor_gives_a_segment_a_label(pipeline):
    session = RefinementSession(noise(1), pipeline)
    session.segment()
    assert session.segments == [ONE, TWO] and session.selected == ONE
    assert session.mask(ONE).any() and session.mask(TWO).any()
    assert not (session.mask(ONE) & session.mask(TWO)).any()
    assert np.array_equal(session.labelmap(), session.mask(ONE) + 2 * session.mask(TWO))
    session.set_prior(~session.mask(ONE) & ~session.mask(TWO), "rest")
    assert session.labelmap().dtype == np.uint8 and session.labelmap().min() == 1
    with pytest.raises(SessionError, match="'anterior hippocampus' already"):
        session.segment()


def test_a_mask_cannot_be_written(session):
    with pytest.raises(ValueError):
        session.mask()[0, 0, 0] = True


def test_previews_lead_to_one_undo_step(session):
    start = session.mask().copy()
    session.add_click(at(8, 7, 7))
    session.add_click(at(7, 7, 7), False)
    assert len(session.pending) == 2
    previews = list(session.refine(3))
    assert len(previews) == 3
    assert np.array_equal(session.mask()[previews[-1].box], previews[-1].mask)
    assert session.mask()[8, 7, 7] and not session.mask()[7, 7, 7] and not session.pending
    done = session.mask().copy()
    assert session.undo() and np.array_equal(session.mask(), start) and session.hints == ()
    assert not session.undo()
    assert session.redo() and np.array_equal(session.mask(), done) and len(session.hints) == 2
    assert not session.redo()


def test_more_or_less_of_an_edit_is_the_same_undo_step(session, fuzzy):
    start = session.mask().copy()
    session.add_click(at(8, 9, 9))
    assert session.extent is None
    list(session.refine(3))
    answer = session.mask().copy()
    assert session.extent == 5 and not session.set_extent(5)
    masks = {}
    for level in (1, 9, 3, 7, 2, 8, 4, 6, 5):
        assert session.set_extent(level) and not session.set_extent(level)
        masks[level] = session.mask().copy()
        assert masks[level][8, 9, 9] and session.extent == level and len(session.state.done) == 1
    assert np.array_equal(session.mask(), answer)
    sizes = [int((masks[level] != start).sum()) for level in range(1, 10)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[4] < sizes[8]
    session.set_extent(8)
    session.undo()
    assert np.array_equal(session.mask(), start) and session.extent is None
    session.redo()
    assert np.array_equal(session.mask(), masks[8]) and session.extent == 8
    session.set_extent(2)
    session.add_click(at(12, 20, 30), False)  # the next hint starts from what was chosen
    assert session.extent is None and np.array_equal(session.mask(), masks[2])
    list(session.refine())
    session.undo()
    assert np.array_equal(session.mask(), masks[2]) and session.extent == 2
    session.set_extent(3)
    assert not session.redo()


def test_what_is_locked_since_an_edit_stays_at_each_level(session, fuzzy):
    session.add_click(at(8, 9, 9))
    list(session.refine())
    answer = session.mask().copy()
    session.set_extent(9)
    most = session.mask().copy()
    session.set_extent(5)
    locked = np.zeros_like(most)
    locked[..., :8] = True
    session.lock(locked)
    for level in (9, 1, 9):
        session.set_extent(level)
        assert np.array_equal(session.mask()[locked], answer[locked])
    assert np.array_equal(session.mask()[~locked], most[~locked]) and not np.array_equal(most, session.mask())
    session.unlock()
    session.set_extent(5)
    assert np.array_equal(session.mask(), answer)


def test_more_or_less_is_refused_where_there_is_no_answer(session, fuzzy):
    for before in (
        lambda: None,
        lambda: session.add_click(at(8, 7, 7)),
        lambda: next(session.refine()),  # broken off
        lambda: session.set_mask("cube", session.mask() & False),
        lambda: session.set_prior(np.zeros((16, 24, 40), bool), "other"),
    ):
        before()
        with pytest.raises(SessionError, match="no answer") as caught:
            session.set_extent(6)
        assert caught.value.remedy and session.extent is None
    session.add_click(at(14, 20, 30))
    list(session.refine())
    for level in (0, 10, 5.5):
        with pytest.raises(SessionError, match="no level") as caught:
            session.set_extent(level)
        assert "1 to 9" in caught.value.remedy
    assert session.extent == 5


def test_hints_far_apart_are_each_refined(session):
    session.set_prior(np.zeros((16, 24, 40), bool), "empty")
    session.engine.volume.ijk_to_ras[:3, :3] *= 5
    session.add_click(5 * at(3, 3, 3))
    session.add_click(5 * at(12, 20, 36))
    first, *_, last = session.refine(2)
    assert first.box != last.box
    assert first.mask[tuple(v - s.start for v, s in zip((3, 3, 3), first.box, strict=True))]
    assert session.mask()[3, 3, 3] and session.mask()[12, 20, 36]
    session.undo()
    session.undo()
    for hint in ((3, 3, 3), (12, 20, 36)):
        session.add_click(5 * at(*hint))
    for _ in session.refine():  # stopped long before the second region, whose hint holds all the same
        break
    assert session.mask()[3, 3, 3] and session.mask()[12, 20, 36]


def test_an_edit_cancelled_before_its_first_preview_leaves_no_trace(session):
    session.add_click(at(10, 12, 12))
    before = told(session)
    session.refine().close()
    open_edit = session.refine()
    del open_edit
    assert told(session) == before
    next(session.refine())
    assert told(session) != before


def test_a_failing_edit_leaves_no_trace(session, monkeypatch):
    session.add_click(at(10, 12, 12))
    before, network = told(session), session.engine.pipeline.network("refiner")
    answered, denoise = [], network.denoise

    def fail_at_the_second(*inputs):
        answered.append(1)
        if len(answered) == 2:
            raise torch.OutOfMemoryError("made up")
        return denoise(*inputs)

    monkeypatch.setattr(network, "denoise", fail_at_the_second)
    with pytest.raises(torch.OutOfMemoryError):
        list(session.refine(2))
    assert told(session) == before
    list(session.refine(2))
    assert session.mask()[10, 12, 12] and len(session.state.done) == 1


def test_an_open_edit_ends_where_something_else_begins(session):
    session.add_click(at(10, 12, 12))
    edit = session.refine(3)
    preview = next(edit)
    session.add_click(at(5, 5, 5), False)
    assert np.array_equal(session.mask()[preview.box], preview.mask)
    assert list(edit) == [] and len(session.pending) == 1


def test_hints_that_could_not_hold_are_refused(session):
    locked = np.zeros((16, 24, 40), bool)
    locked[0] = True
    session.lock(locked)
    session.set_prior(np.zeros_like(locked), "second")
    for point, positive, why in (
        (at(-3, 0, 0), True, "outside the volume"),
        (at(0, 3, 3), True, "locked place"),
        (at(0, 3, 3), False, "locked place"),
        (at(5, 5, 5), True, "'second' lies in the segment 'cube'"),
    ):
        with pytest.raises(HintError, match=why) as caught:
            session.add_click(point, positive)
        assert caught.value.remedy and session.hints == ()
    session.add_click(at(5, 5, 5), False)  # holds already
    session.unlock()
    session.add_click(at(0, 3, 3))
    session.lock(locked)
    with pytest.raises(HintError, match="locked place"):
        session.refine()
    assert session.undo()
    list(session.refine())


def test_a_hand_edit_withdraws_the_hints_it_contradicts(session):
    session.add_click(at(10, 12, 12))
    session.add_click(at(10, 14, 14))
    list(session.refine())
    mask = session.mask().copy()
    mask[10, 12, 12] = False
    session.set_mask("cube", mask)
    assert np.array_equal(session.mask(), mask)
    assert [hint.point_ras.tolist() for hint in session.hints] == [at(10, 14, 14).tolist()]
    session.set_mask("cube", mask)  # nothing new, no step
    session.undo()
    assert session.mask()[10, 12, 12] and len(session.hints) == 2


def test_a_hint_beneath_a_withdrawn_one_must_hold_too(session):
    wide = np.array([at(10, 12, 12), at(10, 12, 20)])
    session.add_scribble(wide, True, 1)
    session.add_scribble(wide + [4, 0, 0], False, 1)  # voxels 16 to 20 of the first, and more
    list(session.refine())
    mask = session.mask().copy()
    mask[10, 12, 22] = True
    session.set_mask("cube", mask)
    assert session.hints == ()


def test_what_makes_no_sense_is_refused(pipeline, session):
    empty = RefinementSession(session.engine.volume, pipeline)
    for nonsense in (empty.refine, empty.mask, lambda: empty.add_click(at(1, 1, 1))):
        with pytest.raises(SessionError, match="No segment is selected"):
            nonsense()
    assert not empty.labelmap().any() and not empty.undo() and not empty.redo()
    with pytest.raises(SessionError, match="no segment 'liver'") as caught:
        session.select("liver")
    assert "cube" in caught.value.remedy
    with pytest.raises(SessionError, match="'cube' already"):
        session.set_prior(session.mask(), "cube")
    with pytest.raises(HintError, match="no hint yet"):
        session.refine()
    for use in (session.lock, lambda m: session.set_prior(m, "x"), lambda m: session.set_mask("cube", m)):
        with pytest.raises(VolumeError, match="another geometry"):
            use(np.ones((3, 3, 3), bool))
    session.add_click(at(10, 12, 12))
    with pytest.raises(ConfigError, match="99 reverse steps"):
        session.refine(99)
    for shape in ((8, 9), (4, 4, 4, 3), (0, 4, 4)):
        with pytest.raises(VolumeError, match="no block of voxels in three"):
            RefinementSession(Volume(np.zeros(shape), np.eye(4)), pipeline)
    with pytest.raises(VolumeError, match="NaN"):
        RefinementSession(Volume(np.full((4, 4, 4), np.nan), np.eye(4)), pipeline)


def test_the_same_session_gives_the_same_mask(pipeline):
    def result():
        session, rng = RefinementSession(noise(3), pipeline), np.random.default_rng(3)
        session.segment()
        for action in ("click", "refine", "select", "scribble", "click", "refine"):
            act(session, action, rng)
        return told(session)

    assert result() == result()


def test_points_are_places_in_space(pipeline):
    volume = noise(2)
    session = RefinementSession(volume, pipeline)
    session.set_prior(np.zeros(volume.array.shape, bool), "empty")
    session.add_click(point_in(volume, (3, 4, 5)))
    list(session.refine())
    assert session.mask()[3, 4, 5]
