"""The robot user corrects every label of every case, through each way of answering hints."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from HiDiffRefineLib.evaluation.ball import ball_painter
from HiDiffRefineLib.evaluation.cases import find_cases, read_case
from HiDiffRefineLib.evaluation.hint_table import build_hints
from HiDiffRefineLib.evaluation.robot_user import Answer, RobotHint, play
from HiDiffRefineLib.geometry.boxes import object_bounds_ras
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click, Hint, Scribble
from HiDiffRefineLib.inference.compose import compose, label_probability
from HiDiffRefineLib.inference.edit import Segment, edit_steps
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.inference.regions import edit_region
from HiDiffRefineLib.inference.segmentor import prior_of_labels


def evaluate_hints(
    pipeline: Pipeline,
    folder: Path,
    count: int,
    names: Sequence[str] = (),
    steps: int | None = None,
    prior: str = "segmentor",
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> dict:
    """Figures of all rows over the (case, label) pairs whose label is in the truth.

    Args:
        folder: holds images/ and labels/ with the same file names.
        count: hints at most.
        names: only these cases (file names without extension).
        steps: reverse steps of the row "refiner"; None for the refiner's default.
        prior: "segmentor", or "empty" to start every label from nothing.

    Returns:
        the JSON of `build_hints`.

    Raises:
        as `evaluate`.
    """
    files = find_cases(folder, names)
    steps = pipeline.check(steps, ("segmentor", "refiner", "plain_refiner"))
    curves: dict[str, list] = {}
    for n, file in enumerate(files):
        volume, truth = read_case(folder, file)
        scan = pipeline.scan(volume)
        if prior == "empty":
            nothing, count = np.zeros(truth.shape), len(pipeline.bundle.labels) + 1
            found = prior_of_labels(nothing, scan.grid, count, pipeline.device)
        else:
            found = pipeline.prior(scan)
        maps = [label_probability(found, label.value, scan.grid) for label in pipeline.bundle.labels]
        labelmap = compose(maps, truth.shape)
        for m, label in enumerate(pipeline.bundle.labels):
            wanted = truth == label.value
            if not wanted.any():
                continue
            progress((n + m / len(pipeline.bundle.labels)) / len(files), f"{file} {label.name}")
            segment = Segment(scan.image, scan.grid, found, label.value)
            for row, refine in _ways(pipeline, segment, wanted, steps).items():
                curve = play(refine, labelmap == label.value, wanted, volume.spacing_kji, count)
                curves.setdefault(row, []).append(curve)
    progress(1.0, "done")
    return build_hints(curves)


def _ways(pipeline: Pipeline, segment: Segment, truth: np.ndarray, steps: int) -> dict[str, Callable]:
    """Row → how it answers (mask, hints so far)."""
    refiner, plain = pipeline.network("refiner"), pipeline.network("plain_refiner")

    def by(network, chain, steps):
        return lambda mask, hints: refined(pipeline, segment, network, chain, steps, mask, hints)

    return {
        "refiner_1_step": by(refiner, pipeline.chain, 1),
        "refiner": by(refiner, pipeline.chain, steps),
        "plain_refiner": by(plain, None, 1),
        "ball": ball_painter(truth, segment.grid.spacing_kji),
    }


def refined(
    pipeline: Pipeline,
    segment: Segment,
    network,
    chain,
    steps: int,
    mask: np.ndarray,
    hints: Sequence[RobotHint],
) -> Answer:
    """The mask (k, j, i) after an edit under all hints; the chain is None for the plain refiner."""
    given = [as_hint(hint, segment.grid) for hint in hints]
    bounds = object_bounds_ras(mask, segment.grid.ijk_to_ras) if mask.any() else None
    working = pipeline.bundle.working_spacing_kji_mm
    region = edit_region(given[-1], bounds, working, pipeline.refiner_bundle.patch_size_kji)
    *_, last = edit_steps(network, chain, segment, mask, given, region, steps, seed=0)
    result, unclamped = mask.copy(), mask.copy()
    result[last.box], unclamped[last.box] = last.mask, last.unclamped
    return Answer(result, unclamped, last.box)


def as_hint(hint: RobotHint, grid: Grid) -> Hint:
    """What the robot marked, in RAS mm; a scribble as thin as a voxel."""
    linear, origin = grid.ijk_to_ras[:3, :3], grid.ijk_to_ras[:3, 3]
    points_ras = hint.voxels_kji[:, ::-1] @ linear.T + origin
    if len(points_ras) == 1:
        return Click(points_ras[0], hint.positive)
    return Scribble(points_ras, hint.positive, float(grid.spacing_kji.min()))
