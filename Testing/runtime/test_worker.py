"""A session on a worker is the session that it is without, and no mishap is the user's."""

import gc
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.errors import BundleError, ConfigError, HintError, SessionError, VolumeError, WorkerError
from HiDiffRefineLib.geometry.boxes import whole_box
from HiDiffRefineLib.hints.hint import Click
from HiDiffRefineLib.inference.messages import EditRequest, View
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.runtime import heartbeat, models, shared
from HiDiffRefineLib.runtime.worker import RESTARTED
from HiDiffRefineLib.session.editing import edit_request
from HiDiffRefineLib.session.journal import restore
from HiDiffRefineLib.session.session import RefinementSession
from HiDiffRefineLib.session.trying import trying
from HiDiffRefineLib.volumes.volume import Volume
from Testing.runtime.clicks import BLINK_S, at
from Testing.session.acting import told


@pytest.fixture
def session(worker, tiny, volume, cube):
    session = RefinementSession(volume, worker.models(tiny))
    session.set_prior(cube, "cube")
    list(session.warming_up())
    yield session
    session.close()


def finish(job) -> list:
    """What comes of a job that nobody waits for, looked at as by a timer."""
    found = []
    for item in job:
        if item is None:
            time.sleep(0.002)
        else:
            found.append(item)
    return found


@pytest.mark.parametrize("roi", [(), (RegionOfInterest((20, 20, 18), 14), RegionOfInterest((12, 9, 9), 8))])
def test_every_bit_is_as_without_a_worker(worker, tiny, volume, cube, roi):
    found = []
    for where in (Pipeline(load_bundle(tiny), torch.device("cpu")), worker.models(tiny)):
        session = RefinementSession(volume, where)
        list(session.warming_up())
        session.segment(roi)
        session.set_prior(cube & (session.labelmap() == 0), "cube")
        session.add_scribble([at(10, 15, 15), at(16, 24, 15)], np.False_, 2.0)
        previews = list(session.refine())
        session.select(session.segments[0])
        place = np.argwhere(session.mask())[0]
        session.add_click(at(*place), False)
        previews += list(session.refine(3))
        free = session.labelmap() == 0
        session.add_painted(free & (np.random.default_rng(1).random(free.shape) < 0.01), True)
        for preview in session.refine():
            previews.append(preview)
            break
        uncertainty = session.uncertainty()
        places = np.array([(*place.point_ras, place.volume_ml) for place in uncertainty.places])
        maps = uncertainty.values, uncertainty.numbers, places, uncertainty.grid.ijk_to_ras
        found.append((told(session), previews, *maps))
        session.close()
    (one, previews, *uncertainty), (other, others, *its_doubt) = found
    assert one == other and len(previews) == len(others) == 6
    for a, b in zip(previews, others, strict=True):
        assert a.box == b.box
        assert np.array_equal(a.mask, b.mask) and np.array_equal(a.unclamped, b.unclamped)
    assert all(np.array_equal(a, b) for a, b in zip(uncertainty, its_doubt, strict=True))
    assert worker.said == []


def test_the_refiner_alone_is_a_session_on_a_worker_too(worker, tiny, volume, cube, tmp_path):
    found = []
    for n, where in enumerate(("refiner-only", worker.models("refiner-only"))):
        session = RefinementSession(volume, where, journal=tmp_path / f"{n}.journal")
        list(session.warming_up())
        with pytest.raises(ConfigError, match="is a refiner, not a segmentor"):
            session.segment()
        session.set_prior(cube, "cube")
        session.add_click(at(10, 25, 25))
        previews = list(session.refine())
        uncertainty = session.uncertainty()
        found.append(
            (told(session), [preview.mask.tobytes() for preview in previews], uncertainty.values.tobytes())
        )
        session.close()
        assert told(restore(tmp_path / f"{n}.journal", volume, where)) == told(session)
    assert found[0] == found[1] and session.mask()[10, 25, 25] and len(previews) == 2


def test_a_lost_worker_loses_no_level(worker, session):
    session.add_scribble([at(10, 15, 15), at(16, 24, 15)], False, 2.0)
    list(session.refine())
    masks = {}
    for level in (9, 2):
        session.set_extent(level)
        masks[level] = session.mask().copy()
    os.kill(worker.pid, signal.SIGKILL)
    worker.stop()
    for level, mask in masks.items():
        session.set_extent(level)
        assert np.array_equal(session.mask(), mask)
    assert not worker.ready and not np.array_equal(masks[2], masks[9])


def test_a_lost_worker_loses_nothing_of_a_question_and_the_hint_does_what_it_said(
    worker, tiny, volume, cube, tmp_path
):
    session = RefinementSession(volume, worker.models(tiny), tmp_path / "journal")
    session.set_prior(cube, "cube")
    list(session.warming_up())
    before, written, mask = told(session), session.journal.path.read_bytes(), session.mask().copy()
    hint = Click(at(10, 25, 25), True)
    for killed in (False, True):
        question = trying(session, hint, wait=True)
        assert next(question) is None  # a preview
        if killed:
            os.kill(worker.pid, signal.SIGKILL)
        *_, tried = question
        assert told(session) == before and session.journal.path.read_bytes() == written
    session.add_hint(hint)
    assert len(list(session.refine())) == 2
    changed = session.mask() ^ mask
    assert changed.any() and np.array_equal(changed, tried.block.within(whole_box(mask.shape)))
    session.close()


def test_an_edit_overtakes_a_question(session, worker):
    pid = worker.pid
    question = trying(session, Click(at(12, 15, 15), False), steps=9)
    for _ in range(3):
        next(question)
    session.add_click(at(10, 25, 25))
    edit = session.refine(wait=False)
    assert list(question) == []
    assert len(finish(edit)) == 2 and worker.pid == pid and worker.said == []


def test_looking_for_news_never_takes_longer_than_a_blink(session):
    session.add_click(at(10, 25, 25))
    took, previews, edit = [], 0, session.refine(wait=False)
    while True:
        start = time.perf_counter()
        item = next(edit, "ended")
        took.append(time.perf_counter() - start)
        if item == "ended":
            break
        previews += item is not None
        time.sleep(0.002)
    # The cores are shared with others: one look in twenty may have been kept waiting by them.
    assert previews == 2 and len(took) > 10 and sorted(took)[-max(1, len(took) // 20)] < BLINK_S


def test_a_volume_is_shared_piece_by_piece_and_given_back(session, worker, monkeypatch):
    monkeypatch.setattr(models, "_COPIED_BYTES", 1000)
    session.close()
    broken_off = session.warming_up()
    assert [next(broken_off) for _ in range(3)] == [None] * 3
    broken_off.close()
    job = session.warming_up()
    assert len(finish(job)) == 0
    memory = shared.attach(session.engine._opened.key)
    array = session.engine.volume.array
    assert bytes(memory.buf[: array.nbytes]) == array.tobytes()
    memory.close()
    name = session.engine._opened.key
    session.close()
    with pytest.raises(FileNotFoundError):
        shared.attach(name)
    session.add_click(at(10, 25, 25))  # and it is shared again when it is needed
    assert len(list(session.refine())) == 2


def test_a_worker_that_is_stopped_during_the_copy_is_a_sentence(session, worker, monkeypatch):
    monkeypatch.setattr(models, "_COPIED_BYTES", 1000)
    session.close()
    session.add_click(at(10, 25, 25))
    edit = session.refine(wait=False)
    assert next(edit) is None
    worker.stop()
    with pytest.raises(WorkerError, match="was stopped"):
        next(edit)
    assert len(session.pending) == 1 and len(list(session.refine())) == 2


def test_a_session_that_nobody_closed_is_forgotten_by_the_worker(worker, tiny, volume):
    session = RefinementSession(volume, worker.models(tiny))
    finish(session.warming_up())
    key, maps = session.engine._opened.key, Path(f"/proc/{worker.pid}/maps")
    assert key in maps.read_text()
    del session
    gc.collect()
    end = time.monotonic() + 20
    while key in maps.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_latest_hint_wins(session):
    session.add_click(at(10, 25, 25))
    stale = session.refine(wait=False)
    assert next(stale) is None
    session.add_click(at(12, 27, 23))
    assert len(session.pending) == 2 and list(stale) == []
    assert len(finish(session.refine(wait=False))) == 2
    assert session.mask()[10, 25, 25] and session.mask()[12, 27, 23]
    assert len(session.state.done) == 1 and not session.pending


def test_an_edit_can_be_cancelled_between_steps(session, worker):
    session.add_click(at(10, 25, 25))
    edit = session.refine(9)
    preview = next(edit)
    edit.close()
    assert np.array_equal(session.mask()[preview.box], preview.mask) and len(session.state.done) == 1
    assert worker.ping() < 5 and len(list(session.refine())) == 2


def test_segmenting_shows_progress_and_can_be_cancelled(session):
    shares, before = [], told(session)
    job = session.segmenting(progress=lambda share, what: shares.append(share))
    while len(shares) < 3:
        next(job)
    job.close()
    assert shares == sorted(shares) and 0 < shares[-1] < 1 and told(session) == before
    session.segment(progress=lambda share, what: shares.append(share))
    assert shares[-1] == 1 and len(session.segments) == 3


def test_a_segment_deleted_during_its_edit_stays_deleted(session, volume):
    session.set_prior(np.zeros(volume.array.shape, bool), "other")
    session.add_click(at(10, 25, 25))
    edit = session.refine(wait=False)
    assert next(edit) is None
    session.delete("other")
    assert list(edit) == [] and session.segments == ["cube"] and session.selected == "cube"
    session.undo()
    assert session.segments == ["cube", "other"] and len(session.pending) == 1
    assert len(list(session.refine())) == 2


def test_what_a_session_refuses_it_refuses_with_a_worker_too(session, worker, tiny, volume):
    before = told(session)
    with pytest.raises(HintError, match="outside"):
        session.add_click(at(99, 0, 0))
    with pytest.raises(VolumeError, match="another geometry"):
        session.set_prior(np.ones((3, 3, 3), bool), "x")
    with pytest.raises(VolumeError, match="outside|too little"):
        session.segment([RegionOfInterest((500, 0, 0), 10)])
    session.set_prior(np.zeros(volume.array.shape, bool), "empty")
    with pytest.raises(SessionError, match="is empty"):
        session.uncertainty()
    session.add_click(at(3, 3, 3))
    assert len(list(session.refine())) == 2
    session.undo()
    session.delete("empty")
    session.state.done.clear()
    session.state.undone.clear()
    session.state.selected = "cube"
    assert told(session) == before
    with pytest.raises(VolumeError, match="NaN"):
        RefinementSession(Volume(np.full((9, 9, 9), np.nan), np.eye(4)), worker.models(tiny))


def test_missing_weights_are_a_sentence_and_the_session_goes_on(session, worker, tiny, tmp_path, copy_bundle):
    copy_bundle("hippocampus-mr", tmp_path / "without")
    other = RefinementSession(session.engine.volume, worker.models(tmp_path / "without"))
    with pytest.raises(BundleError, match="carries no weights 'segmentor'") as caught:
        other.segment()
    assert caught.value.remedy and not other.segments
    session.add_click(at(10, 25, 25))
    assert len(list(session.refine())) == 2


def test_an_error_that_no_one_foresaw_is_a_sentence_and_a_log(session, worker, cube):
    region = session.state.grid
    view = View(region, (slice(0, 3),) * 3, cube, cube, cube, cube)
    with pytest.raises(WorkerError, match="does not know") as caught:
        list(session.engine.run(EditRequest((view,), (), None, (), 1, 0)))
    assert str(worker.log) in caught.value.remedy and "Traceback" in worker.log.read_text()
    session.add_click(at(10, 25, 25))
    assert len(list(session.refine())) == 2


def test_a_job_that_kills_twice_is_given_up(session, worker):
    session.add_click(at(10, 25, 25))
    before, killed = told(session), set()

    def kill() -> None:
        for item in session.refine(9, wait=False):
            if worker.pid not in killed and item is not None:
                killed.add(worker.pid)
                os.kill(worker.pid, signal.SIGKILL)

    # What came before the worker died twice is still a preview, but of an edit that failed.
    with pytest.raises(WorkerError, match="ended twice") as caught:
        kill()
    assert caught.value.remedy and told(session) == before and worker.said == [RESTARTED]
    assert len(list(session.refine())) == 2 and session.mask()[10, 25, 25]


def test_a_worker_that_hangs_is_replaced(session, worker, monkeypatch):
    monkeypatch.setattr(heartbeat, "ANSWER_S", 0.5)
    monkeypatch.setattr(heartbeat, "PING_S", 0.1)
    session.add_click(at(10, 25, 25))
    edit = session.refine(9)
    next(edit)
    hanging = worker.pid
    os.kill(hanging, signal.SIGSTOP)
    assert len(list(edit)) == 8 and worker.pid != hanging and worker.said == [RESTARTED]


def test_a_worker_is_replaced_with_the_process_that_made_it(session, worker):
    session.add_click(at(10, 25, 25))
    edit = session.refine(9)
    next(edit)
    os.killpg(os.getpgid(worker.pid), signal.SIGKILL)
    assert len(list(edit)) == 8 and worker.said == [RESTARTED]


def test_a_cancelled_job_that_will_not_end_is_ended(session, worker, monkeypatch):
    monkeypatch.setattr(heartbeat, "CANCEL_S", 0.5)
    session.add_click(at(10, 25, 25))
    edit, hanging = session.refine(9, wait=False), worker.pid
    assert next(edit) is None
    os.kill(hanging, signal.SIGSTOP)
    edit.close()
    assert len(list(session.refine())) == 2 and worker.pid != hanging and worker.said == []


def test_a_cancelled_job_whose_turn_never_came_costs_no_worker(
    session, worker, tiny, volume, cube, monkeypatch
):
    monkeypatch.setattr(heartbeat, "CANCEL_S", 0.3)
    other = RefinementSession(volume, worker.models(tiny))
    other.set_prior(cube, "cube")
    for one in (session, other):
        one.add_click(at(10, 25, 25))
    edit, waiting, pid = session.refine(9, wait=False), other.refine(wait=False), worker.pid
    os.kill(pid, signal.SIGSTOP)  # whatever it does takes long
    assert next(edit) is None and next(waiting) is None and next(waiting) is None
    waiting.close()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert next(edit) is None
    os.kill(pid, signal.SIGCONT)
    assert len(finish(edit)) == 9 and worker.pid == pid
    other.close()


def test_a_killed_worker_need_not_segment_again(session, worker):
    session.segment()
    session.select(session.segments[1])
    session.add_click(np.argwhere(session.labelmap() == 0)[0][::-1] * [1.0, 1, 1.5])
    os.kill(worker.pid, signal.SIGKILL)
    said = []
    request = edit_request(session.engine, session.state, session.selected, 2)
    answers = list(session.engine.run(request, lambda share, what: said.append(what)))
    assert len(answers) == 3 and "segmenting" not in said and worker.said == []


def test_a_full_shared_memory_is_a_sentence(session, monkeypatch):
    session.close()
    session.add_click(at(10, 25, 25))
    monkeypatch.setattr(shared.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    with pytest.raises(WorkerError, match="no room"):
        list(session.refine())
    monkeypatch.undo()
    assert len(list(session.refine())) == 2
