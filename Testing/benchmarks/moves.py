"""What a move to another level takes in the user interface's process, in its two turns, on a large region.

    python Testing/run_in_slicer.py Testing/benchmarks/moves.py [VOXELS ALONG EACH SIDE]

Of a ball whose levels are balls, and of one whose levels are thin shells: most and least of the region moves.
Milliseconds of this thread's own time, whoever else has the cores: median and longest of 40 moves.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import slicer
import slicer.util

from HiDiffRefineLib.inference.extents import ANSWER, LEVELS, NEVER, extents_of
from HiDiffRefineLib.inference.messages import EditRequest, Preview
from Testing.scene import made_up
from Testing.scene.application import application_scene
from Testing.scene.obedient import ObedientEngine, ObedientModels

MOVES = (6, 7, 8, 9, 4, 3, 2, 1, 9, 5) * 4
KINDS = ("balls", "shells")
TURNS = ("session", "node", "both")


class LargeAnswers(ObedientModels):
    """Answers with levels in a cube; see `KINDS`."""

    side, kind = 0, ""

    def open(self, volume):
        return LargeAnswer(volume, self)


class LargeAnswer(ObedientEngine):
    def run(self, request, progress, wait):
        if not isinstance(request, EditRequest):
            yield from super().run(request, progress, wait)
            return
        side = self.models.side
        distance = np.sqrt(sum((n - side / 2) ** 2 for n in np.ogrid[:side, :side, :side])) / (side / 2)
        least = 0.0 if self.models.kind == "balls" else 0.9
        first = np.clip(np.ceil((distance - least) / (0.94 - least) * LEVELS[-1]), 1, NEVER).astype(np.uint8)
        first[distance < least] = ANSWER
        first[side // 2, side // 2, side // 2] = LEVELS[0]
        box, changed = (slice(10, 10 + side),) * 3, first <= ANSWER
        yield Preview(box, changed, changed)
        yield extents_of(first, changed, box)


def main(side: str = "170") -> dict[str, dict[str, list[float]]]:
    LargeAnswers.side = int(side)
    made_up.ObedientModels = LargeAnswers
    return {kind: measured(kind) for kind in KINDS}


def measured(kind: str) -> dict[str, list[float]]:
    """Milliseconds of the session's turn, the node's and both, median and longest."""
    LargeAnswers.kind = kind
    with application_scene() as scene, tempfile.TemporaryDirectory() as folder:
        slicer.mrmlScene = scene
        shape = (LargeAnswers.side + 20,) * 3
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "volume")
        slicer.util.updateVolumeFromArray(node, np.random.default_rng(0).integers(0, 400, shape, np.int16))
        session = made_up.open_session(scene, node, journal=Path(folder) / "journal")
        session.add_segment("large")
        made_up.click_and_refine(session, [n // 2 for n in shape])
        turns = []
        for level in MOVES:
            job, times = session.extending(level), []
            for _ in range(2):
                start = time.thread_time()
                next(job, None)
                times.append(1000 * (time.thread_time() - start))
            turns.append((*times, sum(times)))
        assert made_up.agree(session)
        session.close()
    table = {
        name: [np.median(column), max(column)]
        for name, column in zip(TURNS, zip(*turns, strict=True), strict=True)
    }
    for name, (median, longest) in table.items():
        print(f"{kind:<8}{name:<10}{median:8.1f}{longest:8.1f} ms", file=sys.stderr)
    return {name: [float(figure) for figure in figures] for name, figures in table.items()}
