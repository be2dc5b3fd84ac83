"""What a hint would do is what it does, and to ask changes nothing.

HIDIFF_ACTIONS says how many actions come after questions: 30 unless it is set.
"""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HiDiffRefineLib.errors import HiDiffRefineError, HintError, SessionError
from HiDiffRefineLib.hints.hint import Click
from HiDiffRefineLib.inference.extents import Extents
from HiDiffRefineLib.inference.messages import Preview
from HiDiffRefineLib.session.journal import restore
from HiDiffRefineLib.session.session import RefinementSession
from HiDiffRefineLib.session.trying import trying
from HiDiffRefineLib.volumes.volume import Volume
from Testing.session.acting import EDITS, HINTS, MOVES, OTHERS, act, noise, random_hint, told

ACTIONS = 10
SESSIONS = max(1, int(os.environ.get("HIDIFF_ACTIONS", 30)) // ACTIONS)


def outcome(act, *arguments):
    """What an action gives, or why it is refused."""
    try:
        return act(*arguments)
    except HintError as error:
        return error.message


def asked(session, hint):
    """The answer to a question, after nothing but None."""
    *nothing, tried = trying(session, hint, wait=True)
    assert not any(nothing) and session.tried is tried
    return tried


def placed(session, hint) -> str:
    session.add_hint(hint)
    for _ in session.refine():
        pass
    return ""


def flips(block, shape) -> np.ndarray:
    result = np.zeros(shape, bool)
    if block is not None:
        result[block.box] = block.flips()
    return result


@settings(max_examples=SESSIONS)
@given(st.integers(0, 100_000))
def test_a_question_leaves_no_trace_and_the_hint_does_what_it_said(pipeline, tmp_path_factory, seed):
    rng, journal = np.random.default_rng(seed), tmp_path_factory.mktemp("journal") / "session.jsonl"
    session = RefinementSession(noise(seed), pipeline, journal)
    shape = session.engine.grid.shape_kji
    if rng.random() < 0.5:
        session.segment()
    session.set_prior(rng.random(shape) < rng.choice([0, 0.01]), "other")
    for action in rng.choice(HINTS + 2 * EDITS + 2 * MOVES + OTHERS, ACTIONS):
        hint = random_hint(session.engine.volume, str(rng.choice(HINTS)), rng)
        before, written, mask = told(session), journal.read_bytes(), session.mask().copy()
        given_up = outcome(trying, session, hint)
        assert isinstance(given_up, str) or next(given_up) is None
        answers = outcome(asked, session, hint)
        assert told(session) == before and journal.read_bytes() == written
        assert np.array_equal(session.mask(), mask) and session.last_uncertainty is None
        if rng.random() < 0.5:
            given = outcome(placed, session, hint)
            assert given == (answers if isinstance(answers, str) else "")
            if not given:
                assert session.tried is None
                assert answers.hint is hint
                assert np.array_equal(session.mask() ^ mask, flips(answers.block, shape))
        try:
            act(session, str(action), rng)
        except HiDiffRefineError as error:
            assert error.remedy
    assert told(restore(journal, session.engine.volume, pipeline)) == told(session)


@pytest.fixture
def session(pipeline):
    array = np.random.default_rng(0).random((16, 24, 40))
    session = RefinementSession(Volume(array, np.diag([1.0, 1, 2, 1])), pipeline)
    mask = np.zeros(array.shape, bool)
    mask[4:8, 4:10, 4:10] = True
    session.set_prior(mask, "cube")
    return session


def at(*voxel_kji) -> np.ndarray:
    return np.array(voxel_kji[::-1]) * [1.0, 1, 2]


def test_the_latest_question_wins_and_other_work_is_never_disturbed(session):
    first = trying(session, Click(at(8, 12, 12), True))
    assert next(first) is None
    second = trying(session, Click(at(9, 14, 14), True))
    assert next(second) is None and list(first) == []
    session.add_click(at(8, 12, 12))  # ends it
    assert list(second) == [] and session.tried is None
    edit = session.refine()
    assert next(edit) is not None
    before = told(session)
    assert list(trying(session, Click(at(9, 14, 14), True))) == [] and told(session) == before
    assert len(list(edit)) == 1 and not session.pending
    *_, tried = trying(session, Click(at(9, 14, 14), True))
    assert session.tried is tried
    session.undo()
    assert session.tried is None


def test_hints_that_wait_are_answered_with_it_as_the_edit_would(session):
    session.add_click(at(8, 12, 12))
    hint, mask = Click(at(6, 14, 30), True), session.mask().copy()
    *_, tried = trying(session, hint, wait=True)
    session.add_hint(hint)
    list(session.refine())
    changed = session.mask() ^ mask
    assert changed[8, 12, 12] and changed[6, 14, 30]
    assert np.array_equal(changed, flips(tried.block, mask.shape))


def test_where_a_hint_cannot_land_the_reason_is_told_at_once(session):
    locked = np.zeros(session.mask().shape, bool)
    locked[10:12] = True
    session.lock(locked)
    for hint, reason in ((Click(at(11, 5, 5), True), "locked"), (Click((-500, 0, 0), True), "outside")):
        with pytest.raises(HintError, match=reason) as caught:
            trying(session, hint)
        assert caught.value.remedy
    session.delete("cube")
    with pytest.raises(SessionError, match="No segment"):
        trying(session, Click(at(5, 5, 5), False))


def test_no_levels_are_computed_for_a_question(session, monkeypatch):
    answers, run = [], session.engine.run

    def heard(*arguments):
        for answer in run(*arguments):
            answers.append(answer)
            yield answer

    monkeypatch.setattr(session.engine, "run", heard)
    list(trying(session, Click(at(8, 12, 12), True), wait=True))
    assert [type(answer) for answer in answers] == [Preview, Preview]
    session.add_click(at(8, 12, 12))
    list(session.refine())
    assert [type(answer) for answer in answers[2:]] == [Preview, Preview, Extents]
