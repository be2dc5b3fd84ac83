"""Evaluating a bundle on a folder of cases: the segmentor and every way to refine its prior."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from HiDiffRefineLib.evaluation.cases import Cases
from HiDiffRefineLib.evaluation.table import build_result, case_row
from HiDiffRefineLib.inference.compose import LabelProbability, compose, label_probability, whole_probability
from HiDiffRefineLib.inference.pipeline import Pipeline, Scan
from HiDiffRefineLib.inference.refiner import Region, plain_refinement, reverse_steps
from HiDiffRefineLib.inference.uncertainty import tempered
from HiDiffRefineLib.session.editing import SAMPLES
from HiDiffRefineLib.volumes.read import title
from HiDiffRefineLib.volumes.volume import Volume


def evaluate(
    pipeline: Pipeline,
    folder: Path,
    names: Sequence[str] = (),
    steps: int | None = None,
    progress: Callable[[float, str], None] = lambda share, what: None,
    notify: Callable[[str], None] = lambda text: None,
    resample: bool = False,
) -> dict:
    """Figures of all rows over the cases of a folder.

    Args:
        folder: holds images/ and labels/ with the same file names.
        names: only these cases (file names without extension).
        steps: reverse steps of the row "refiner"; None for the refiner's default.
        notify: told of a GPU that is full, and of cases: see `Cases`.
        resample: see `read_labels_on`.

    Returns:
        the JSON of `build_result` and `Cases.lacking`.

    Raises:
        VolumeError: no such folder or cases, or none that can be used.
        ConfigError, BundleError: a bundle that can't be evaluated.
    """
    cases = Cases(folder, names, resample=resample, notify=notify)
    steps = pipeline.check(steps, ("segmentor", "refiner", "plain_refiner"))
    cases.check(pipeline.bundle.labels)

    def measured(n: int, file: str, volume: Volume, truth: np.ndarray) -> dict[str, dict]:
        progress(n / len(cases.files), file)
        whole = partial(whole_probability, shape_kji=truth.shape)
        found = pipeline.where_there_is_room(lambda one: answers(one, one.scan(volume), steps), notify)
        return {
            row: case_row(
                compose(maps, truth.shape),
                partial(whole, means or maps),
                truth,
                pipeline.bundle.labels,
                volume.spacing_kji,
                seconds,
            )
            for row, (maps, means, seconds) in found.items()
        }

    done = cases.each(measured)
    progress(1.0, "done")
    rows = {row: [figures[row] for _, figures in done] for row in done[0][1]}
    result = build_result(pipeline.bundle.name, [title(Path(file)) for file, _ in done], rows)
    return result | cases.lacking


def answers(pipeline: Pipeline, scan: Scan, steps: int) -> dict[str, tuple[list, list, float]]:
    """Each row's probabilities of the labels, what its uncertainty comes from if not from these, and seconds.

    The refiner's uncertainty comes from the mean of `SAMPLES` chains, tempered as the user sees it.
    """
    started = time.monotonic()
    prior = pipeline.prior(scan)
    base = time.monotonic() - started
    rows = {row: ([], [], base) for row in ("segmentor", "refiner_1_step", "refiner", "plain_refiner")}
    for label in pipeline.bundle.labels:
        unrefined = label_probability(prior, label.value, scan.grid)
        if unrefined is None:
            continue
        region = pipeline.region(scan, prior, label.value)
        refined = {} if region is None else _refinements(pipeline, region, steps)
        for row, (maps, means, seconds) in rows.items():
            answer, mean, spent = refined.get(row, (None, None, 0.0))
            rows[row] = (maps, means, seconds + spent)
            on_grid = partial(label_probability, prior, label.value, scan.grid, region)
            maps.append(unrefined if answer is None else on_grid(answer))
            if row == "refiner":
                means.append(unrefined if mean is None else _tempered(on_grid(mean), pipeline.temperature))
    return rows


def _tempered(found: LabelProbability, temperature: float) -> LabelProbability:
    return LabelProbability(found.label, found.box, tempered(found.probability, temperature))


def _refinements(
    pipeline: Pipeline, region: Region, steps: int
) -> dict[str, tuple[torch.Tensor, torch.Tensor | None, float]]:
    """Each refining row's answer, the mean of several chains (row "refiner" only) and seconds."""
    network, chain = pipeline.network("refiner"), pipeline.chain
    started, found = time.monotonic(), {}
    # The chain's first answer is what one step alone gives: the same start and the same t = T.
    for step, answer in enumerate(reverse_steps(network, chain, region, steps, seed=0)):
        if step == 0:
            found["refiner_1_step"] = (answer, None, time.monotonic() - started)
    seconds = time.monotonic() - started
    *_, mean = reverse_steps(network, chain, region, steps, seed=1, samples=SAMPLES)
    found["refiner"] = (answer, mean, seconds)
    started = time.monotonic()
    answer = plain_refinement(pipeline.network("plain_refiner"), region)
    return found | {"plain_refiner": (answer, None, time.monotonic() - started)}
