"""Evaluating a bundle on a folder of cases: the segmentor and every way to refine its prior."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.evaluation.table import build_result, case_row
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample_labelmap
from HiDiffRefineLib.inference.compose import LabelProbability, compose, label_probability, whole_probability
from HiDiffRefineLib.inference.pipeline import Pipeline, Scan
from HiDiffRefineLib.inference.refiner import plain_refinement, reverse_steps
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.volumes.read import read_labelmap, read_volume

# Chains side by side for the uncertainty map.
SAMPLES = 8

Answer = tuple[list[LabelProbability], float]


def evaluate(
    pipeline: Pipeline,
    folder: Path,
    names: list[str] | None = None,
    steps: int | None = None,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> dict:
    """Figures of all rows over the cases of a folder.

    Args:
        folder: holds images/ and labels/ with the same file names.
        names: only these cases (file names without suffix).
        steps: reverse steps of the row "refiner"; None for the refiner's default.

    Returns:
        the JSON of `build_result`.

    Raises:
        VolumeError: no such folder or cases, or a case that can't be read.
    """
    steps = pipeline.refiner_bundle.settings["steps"] if steps is None else steps
    rows: dict[str, list] = {}
    cases = list(find_cases(folder, names))
    for n, (name, image, labels) in enumerate(cases):
        progress(n / len(cases), name)
        volume, truth = read_volume(image), read_labelmap(labels)
        native = Grid(volume.array.shape, volume.ijk_to_ras)
        truth, shape = _on_grid(truth, native), native.shape_kji
        for row, (maps, seconds, doubt) in answers(pipeline, pipeline.scan(volume), steps).items():
            figures = case_row(
                compose(maps, shape),
                partial(whole_probability, maps, shape_kji=shape),
                None if doubt is None else partial(whole_probability, doubt, shape_kji=shape),
                truth,
                pipeline.bundle.labels,
                native.spacing_kji,
                seconds,
            )
            rows.setdefault(row, []).append(figures)
    progress(1.0, "done")
    return build_result(pipeline.bundle.name, [name for name, *_ in cases], rows)


def find_cases(folder: Path, names: list[str] | None) -> Iterator[tuple[str, Path, Path]]:
    """Name, image and labels of every case of a folder, by name."""
    if not (folder / "images").is_dir() or not (folder / "labels").is_dir():
        raise VolumeError(f"{folder} holds no cases.", "Give a folder with images/ and labels/.")
    found = {path.name.split(".")[0]: path for path in sorted((folder / "images").iterdir())}
    if missing := [name for name in names or [] if name not in found]:
        raise VolumeError(f"{folder} has no case '{missing[0]}'.", f"It has: {', '.join(found)}.")
    for name in names or found:
        yield name, found[name], folder / "labels" / found[name].name


def answers(pipeline: Pipeline, scan: Scan, steps: int) -> dict:
    """Every row's maps, seconds and uncertainty maps (None where it follows from the probability).

    The uncertainty of the refiner is that of the mean of `SAMPLES` chains.
    """
    started = time.monotonic()
    prior = pipeline.prior(scan)
    maps = [label_probability(prior, label.value, scan.grid) for label in pipeline.bundle.labels]
    base = time.monotonic() - started
    rows = {"segmentor": (_present(maps), base, None)}
    for row in ("refiner_1_step", "refiner", "plain_refiner"):
        started = time.monotonic()
        maps = [_refined(pipeline, scan, prior, label.value, row, steps) for label in pipeline.bundle.labels]
        seconds = base + time.monotonic() - started
        doubt = None
        if row == "refiner":
            doubt = [_doubt(pipeline, scan, prior, label.value, steps) for label in pipeline.bundle.labels]
        rows[row] = (_present(maps), seconds, None if doubt is None else _present(doubt))
    return rows


def _present(maps: list[LabelProbability | None]) -> list[LabelProbability]:
    return [found for found in maps if found is not None]


def _refined(
    pipeline: Pipeline, scan: Scan, prior: Prior, label: int, row: str, steps: int
) -> LabelProbability | None:
    region = pipeline.region(scan, prior, label)
    if region is None:
        return label_probability(prior, label, scan.grid)
    if row == "plain_refiner":
        answer = plain_refinement(pipeline.network("plain_refiner"), region)
    else:
        count = 1 if row == "refiner_1_step" else steps
        *_, answer = reverse_steps(pipeline.network("refiner"), pipeline.chain, region, count, seed=0)
    return label_probability(prior, label, scan.grid, region, answer)


def _doubt(pipeline: Pipeline, scan: Scan, prior: Prior, label: int, steps: int) -> LabelProbability | None:
    region = pipeline.region(scan, prior, label)
    mean = None
    if region is not None:
        network, chain = pipeline.network("refiner"), pipeline.chain
        *_, mean = reverse_steps(network, chain, region, steps, seed=1, samples=SAMPLES)
    found = label_probability(prior, label, scan.grid, region, mean)
    return found and LabelProbability(label, found.box, 1 - np.abs(2 * found.probability - 1))


def _on_grid(truth, native: Grid) -> np.ndarray:
    if truth.array.shape == native.shape_kji and np.allclose(truth.ijk_to_ras, native.ijk_to_ras, atol=1e-3):
        return truth.array
    return resample_labelmap(truth.array, truth.ijk_to_ras, native)
