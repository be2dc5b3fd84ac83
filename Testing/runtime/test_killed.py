"""Fifty workers killed at random moments change nothing, to the last bit of mask, history and journal."""

import os
import signal
import threading
from contextlib import suppress

import numpy as np
import torch

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.errors import HiDiffRefineError
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.runtime.worker import RESTARTED
from HiDiffRefineLib.session.journal import restore
from HiDiffRefineLib.session.session import RefinementSession
from Testing.session.acting import EDITS, HINTS, MOVES, OTHERS, act, noise, told

KILLS = 50


def played(session, seed: int, count: int, before_edit=lambda: None) -> None:
    """A session of hints, edits and whatever else, the same for the same seed."""
    rng = np.random.default_rng(seed)
    session.segment()
    session.set_prior(rng.random(session.engine.volume.array.shape) < 0.01, "other")
    edits = 0
    while edits < count:
        action = str(rng.choice([*HINTS, *EDITS, *EDITS, *MOVES, *OTHERS]))
        if action in EDITS:
            before_edit()
            edits += 1
        with suppress(HiDiffRefineError):
            act(session, action, rng)


def test_fifty_deaths_change_nothing(tmp_path, tiny, worker):
    volume, killed = noise(5), []
    undisturbed = Pipeline(load_bundle(tiny), torch.device("cpu"))
    calm = RefinementSession(volume, undisturbed, tmp_path / "calm.jsonl")
    played(calm, 1, 2 * KILLS)
    wild = RefinementSession(volume, worker.models(tiny), tmp_path / "wild.jsonl")
    rng, timers = np.random.default_rng(2), []

    def kill() -> None:
        if worker.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
                killed.append(worker.pid)

    def kill_soon() -> None:
        for timer in timers:
            timer.join()
        # Some hit the edit, some what comes after it, some a worker that is still starting.
        timers[:] = [threading.Timer(rng.exponential(0.08), kill)]
        timers[0].start()

    played(wild, 1, 2 * KILLS, kill_soon)
    timers[0].join()
    # About half of them die of an edit, the others between two.
    assert len(set(killed)) >= KILLS and worker.said.count(RESTARTED) >= KILLS // 5
    assert told(wild) == told(calm)
    lines = [(tmp_path / f"{name}.jsonl").read_bytes() for name in ("calm", "wild")]
    assert lines[0] == lines[1] and len(calm.state.done) > 3
    assert told(restore(tmp_path / "wild.jsonl", volume, worker.models(tiny))) == told(calm)
