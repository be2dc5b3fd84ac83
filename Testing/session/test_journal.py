"""A journal brings a session back, from wherever it broke off."""

import json
import os
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HiDiffRefineLib.errors import HiDiffRefineError, SessionError
from HiDiffRefineLib.hints.hint import Click, Painted, Scribble
from HiDiffRefineLib.inference.extents import LEVELS, extents_of
from HiDiffRefineLib.session import record
from HiDiffRefineLib.session.blocks import difference
from HiDiffRefineLib.session.codec import decode, encode
from HiDiffRefineLib.session.journal import restore
from HiDiffRefineLib.session.recovery import left_behind
from HiDiffRefineLib.session.session import RefinementSession
from HiDiffRefineLib.volumes.volume import Volume
from Testing.session.acting import EDITS, HINTS, MOVES, OTHERS, act, noise, told


def played(path, pipeline, seed, actions=14):
    """A session with a journal, and all that it held after each event, by the journal's size then."""
    rng, session = np.random.default_rng(seed), RefinementSession(noise(seed), pipeline, path)
    held, append = {session.journal.size: told(session)}, session.journal.append

    def append_and_look(event, fields):
        append(event, fields)
        held[session.journal.size] = told(session)

    session.journal.append = append_and_look
    if rng.random() < 0.7:
        session.segment()
    session.set_prior(rng.random(session.engine.grid.shape_kji) < rng.choice([0, 0.01]), "other")
    for action in rng.choice([*HINTS, *EDITS, *EDITS, *MOVES, *OTHERS, "look"], actions):
        try:
            act(session, str(action), rng)
        except HiDiffRefineError:
            continue
    session.select(session.selected)  # ends an edit left open
    return session, held


@settings(max_examples=12)
@given(st.integers(0, 100_000))
def test_a_file_cut_off_anywhere_gives_a_state_that_was(tmp_path_factory, pipeline, seed):
    path = tmp_path_factory.mktemp("journal") / "session.jsonl"
    session, held = played(path, pipeline, seed)
    volume, whole, sizes = session.engine.volume, path.read_bytes(), sorted(held)
    assert sizes[-1] == len(whole)
    rng = np.random.default_rng(seed)
    for cut in {
        *sizes,
        *(size - 1 for size in sizes[1:]),
        *rng.integers(sizes[0], len(whole) + 1, 10).tolist(),
    }:
        path.write_bytes(whole[:cut])
        again = restore(path, volume, pipeline)
        assert told(again) == held[max(size for size in sizes if size <= cut)]
        assert path.stat().st_size == again.journal.size
    path.write_bytes(whole)
    again = restore(path, volume, pipeline)
    # Both go on alike, and what the restored one does is in the journal as well.
    session.journal = None
    for action in ("extent", "undo", "click", "refine", "extent", "undo", "redo", "extent"):
        for one in (session, again):
            with suppress(HiDiffRefineError):
                act(one, action, np.random.default_rng(seed))
    assert told(again) == told(session) == told(restore(path, volume, pipeline))


@pytest.fixture
def session(tmp_path, pipeline):
    session, _ = played(tmp_path / "session.jsonl", pipeline, 4)
    return session


def test_events_come_back_to_the_bit():
    rng = np.random.default_rng(0)
    mask = rng.random((3, 4, 5)) < 0.4
    matrix = np.vstack([rng.normal(size=(3, 4)), [0, 0, 0, 1]])
    event = {
        "do": "nothing",
        "hints": [
            Click(rng.normal(size=3), np.True_),
            Scribble(rng.normal(size=(4, 3)), False, np.float32(1.3)),
            Painted(mask, matrix, True),
        ],
        "block": difference(np.zeros_like(mask), mask),
        "extents": extents_of(rng.integers(1, 11, (3, 4, 5)), mask, (slice(0, 3), slice(1, 5), slice(2, 7))),
        "none": None,
    }
    line = encode(event)
    back = decode(line)
    assert b"\n" not in line and json.loads(line)["event"]["do"] == "nothing" and encode(back) == line
    assert np.array_equal(back["hints"][0].point_ras, event["hints"][0].point_ras)
    assert np.array_equal(back["hints"][1].points_ras, event["hints"][1].points_ras)
    assert np.array_equal(back["hints"][2].mask, event["hints"][2].mask)
    assert np.array_equal(back["hints"][2].ijk_to_ras, event["hints"][2].ijk_to_ras)
    assert np.array_equal(back["block"].flips(), event["block"].flips())
    assert back["extents"].box == event["extents"].box
    for level in LEVELS:
        assert np.array_equal(back["extents"].flips(level), event["extents"].flips(level))


def test_hints_withdrawn_by_numbers_of_numpy_are_in_the_journal(session, pipeline):
    center = session.engine.grid.center_ras
    for positive in (True, False):
        session.add_click(center, positive)
    session.withdraw(session.selected, np.flatnonzero([False, True]))
    back = restore(session.journal.path, session.engine.volume, pipeline)
    assert told(back) == told(session)


def test_another_volume_or_model_is_refused(session, pipeline):
    path, volume = session.journal.path, session.engine.volume
    array = volume.array.copy()
    array[0, 0, 0] += 1
    elsewhere = volume.ijk_to_ras.copy()
    elsewhere[:3, 3] += 1
    for other in (Volume(array, volume.ijk_to_ras), Volume(volume.array, elsewhere), noise(9)):
        with pytest.raises(SessionError, match="is about another volume") as caught:
            restore(path, other, pipeline)
        assert caught.value.remedy
    other = replace(pipeline, bundle=replace(pipeline.bundle, name="liver"))
    with pytest.raises(SessionError, match="written with the model 'tiny'"):
        restore(path, volume, other)


def test_damage_is_refused(session, pipeline):
    path, volume, rng = session.journal.path, session.engine.volume, np.random.default_rng(0)
    whole = path.read_bytes()
    for place in rng.integers(0, len(whole) - 1, 40):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << rng.integers(8)]) + whole[place + 1 :])
        with pytest.raises(SessionError, match="is damaged"):
            restore(path, volume, pipeline)
    lines = whole.splitlines(keepends=True)
    for text, why in (
        (b"", "holds nothing"),
        (lines[0][:-1], "holds nothing"),
        (b"a letter\n", "is damaged"),
        (b"".join(lines[1:]), "is damaged"),
        (lines[0] + encode({"do": "undo"}) + b"\n", "is damaged"),
        (lines[0] + encode({"do": "format_disk"}) + b"\n", "is damaged"),
        (encode({"do": "session", "format": 0}) + b"\n", "another version"),
    ):
        path.write_bytes(text)
        with pytest.raises(SessionError, match=why) as caught:
            restore(path, volume, pipeline)
        assert caught.value.remedy
    path.unlink()
    with pytest.raises(SessionError, match="cannot be read"):
        restore(path, volume, pipeline)


def as_format_2(path):
    """Rewrites a journal without levels as it was before there were any."""
    lines = []
    for line in path.read_bytes().splitlines():
        event = decode(line)
        if event["do"] == "session":
            event["format"] = 2
        if event["do"] == "edit":
            event.pop("extents")
            block = event.pop("block")
            event["blocks"] = [*event["blocks"], *([block] if block else [])]
        lines.append(encode(event) + b"\n")
    path.write_bytes(b"".join(lines))


def test_a_journal_from_before_there_were_levels_is_offered_and_gone_on_with(tmp_path, pipeline):
    path, rng = tmp_path / "old.jsonl", np.random.default_rng(0)
    session = RefinementSession(noise(3), pipeline, path)
    session.set_prior(rng.random(session.engine.grid.shape_kji) < 0.01, "other")
    for action in ("click", "refine", "click", "refine", "undo"):
        act(session, action, rng)
    volume = session.engine.volume
    as_format_2(path)
    assert left_behind(tmp_path, volume).path == path
    again = restore(path, volume, pipeline)
    again.redo()
    session.journal = None
    session.redo()
    np.testing.assert_array_equal(again.mask(), session.mask())
    assert [hint.point_ras.tolist() for hint in again.hints] == [
        hint.point_ras.tolist() for hint in session.hints
    ]
    assert again.mask().any() and told(restore(path, volume, pipeline)) == told(again)


def test_a_journal_is_never_overwritten(session, pipeline):
    before = session.journal.path.read_bytes()
    with pytest.raises(SessionError, match="exists already"):
        RefinementSession(session.engine.volume, pipeline, session.journal.path)
    assert session.journal.path.read_bytes() == before


def test_a_full_disk_costs_no_edit_and_is_told_once(session, pipeline, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    session.unlock()
    held, mask = told(session), ~session.mask("other")
    monkeypatch.setattr(record.os, "fsync", full)
    size = session.journal.size
    with pytest.warns(RuntimeWarning, match="No space left on device") as caught:
        session.set_mask("other", mask)
        session.lock(~mask)
    assert len(caught) == 1 and "No space left" in session.journal.problem
    assert np.array_equal(session.mask("other"), mask) and np.array_equal(session.state.locked, ~mask)
    monkeypatch.undo()
    session.unlock()  # no gap: what came after the failure stays out
    os.truncate(session.journal.path, size)
    assert told(restore(session.journal.path, session.engine.volume, pipeline)) == held


def test_a_folder_that_takes_no_journal_does_not_stop_the_session(tmp_path, pipeline):
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        session = RefinementSession(noise(1), pipeline, tmp_path / "absent" / "session.jsonl")
    session.segment()
    assert session.segments and session.journal.problem


def test_two_sessions_in_one_journal_do_not_mix(session, pipeline):
    other = restore(session.journal.path, session.engine.volume, pipeline)
    other.set_mask("other", ~other.mask("other"))
    with pytest.warns(RuntimeWarning, match="another program"):
        session.set_mask("other", ~session.mask("other"))
    assert told(restore(session.journal.path, session.engine.volume, pipeline)) == told(other)
