"""Evaluating DSSM: its rows on cases with known labels, and whether it tells images that it does not know."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from HiDiffRefineLib.dssm.typicality import reference_of, unlikeness
from HiDiffRefineLib.evaluation.calibration import best_temperature, near_border
from HiDiffRefineLib.evaluation.cases import Cases
from HiDiffRefineLib.evaluation.metrics import auroc
from HiDiffRefineLib.evaluation.table import build_result, case_row
from HiDiffRefineLib.evaluation.unlike import SPOILT, foreign_scans, spoilt
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.compose import LabelProbability, compose, label_probability, whole_probability
from HiDiffRefineLib.inference.islands import remove_islands
from HiDiffRefineLib.inference.one_shot import Variant, profile_of
from HiDiffRefineLib.inference.pipeline import Pipeline, Scan
from HiDiffRefineLib.training.device_patches import augmented
from HiDiffRefineLib.volumes.read import title
from HiDiffRefineLib.volumes.volume import Volume

# What the table always has, beside the bundle's own number of steps.
ROWS = {"dssm_tau0": Variant(0), "dssm_k1": Variant(1)}
ABLATIONS = {
    "dssm_k2": Variant(2),
    "dssm_k3": Variant(3),
    "dssm_k4": Variant(4),
    "dssm_gamma0": Variant(1, gamma=0.0),
    "dssm_gamma_half": Variant(1, gamma=0.5),
    "dssm_tau_half": Variant(1, tau_share=0.5),
    "dssm_tau_double": Variant(1, tau_share=2.0),
}
# Images of each foreign folder that are looked at.
FOREIGN = 20
# How often each image is looked at again for calibration, in other contrast, brightness, sharpness and noise
# of the range that training covers: a few cases of one scanner say little about how far known images vary.
DRAWS = 4


def evaluate_dssm(
    pipeline: Pipeline,
    folder: Path,
    names: Sequence[str] = (),
    unlike: Sequence[Path] = (),
    ablations: bool = False,
    progress: Callable[[float, str], None] = lambda share, what: None,
    notify: Callable[[str], None] = lambda text: None,
    resample: bool = False,
) -> dict:
    """Figures of DSSM over the cases of a folder.

    Args:
        folder: holds images/ and labels/ with the same file names.
        names: only these cases (file names without extension).
        unlike: folders of images of other kinds, beside spoilt images of these cases.
        ablations: also the rows of `ABLATIONS`.
        notify, resample: see `Cases`.

    Returns:
        the JSON of `build_result` and `Cases.lacking`; if the bundle's DSSM is calibrated, "ood_auroc"
        too, over all kinds of unlike images together, and "ood_auroc_by_kind".

    Raises:
        VolumeError: no such folder or cases, or a case that can't be read.
        ConfigError, BundleError: a bundle without DSSM.
    """
    cases = Cases(folder, names, resample=resample, notify=notify)
    pipeline.check(None, ["dssm"])
    cases.check(pipeline.bundle.labels)
    reference = pipeline.bundle.settings.get("dssm", {}).get("typical")

    def measured(n: int, file: str, volume: Volume, truth: np.ndarray) -> tuple[dict, np.ndarray, dict, Grid]:
        progress(n / len(cases.files), file)
        return pipeline.where_there_is_room(lambda one: looked_at(one, n, volume, truth), notify)

    def looked_at(one: Pipeline, n: int, volume: Volume, truth: np.ndarray) -> tuple:
        scan = one.scan(volume)
        found, own = case_figures(one, scan, truth, ablations)
        return found, own, spoilt_profiles(one, scan, seed=n) if reference else {}, scan.grid

    def foreign_profiles(one: Pipeline, other: Path) -> list[np.ndarray]:
        return [profile_of(one.one_shot(scan)) for scan in foreign_scans(other, shown, one.device, FOREIGN)]

    done = [found for _, found in cases.each(measured)]
    shown = done[-1][3]
    rows = {row: [figures[row] for figures, *_ in done] for row in done[0][0]}
    known = [own for _, own, _, _ in done]
    others = {kind: [spoilt[kind] for _, _, spoilt, _ in done] for kind in done[0][2]}
    try:
        for other in unlike if reference and not cases.stopped else ():
            room = pipeline.where_there_is_room
            others[other.name] = room(lambda one, other=other: foreign_profiles(one, other), notify)
    except KeyboardInterrupt:  # the rows are kept
        cases.stopped = True
    progress(1.0, "done")
    names = [title(Path(file)) for file in cases.files if file not in cases.left_out]
    result = build_result(pipeline.bundle.name, names, rows) | cases.lacking
    # Without some of the kinds they would not say what they seem to say.
    whole = reference and not cases.stopped
    return result | (ood_figures(known, others, reference) if whole else {})


def case_figures(
    pipeline: Pipeline, scan: Scan, truth: np.ndarray, ablations: bool = False
) -> tuple[dict[str, dict], np.ndarray]:
    """A `case_row` for each row, and the profile of -log p(v) of the bundle's own row."""
    figures, profile, own = {}, None, pipeline.dssm_variant
    variants = {"dssm": own, **ROWS, **(ABLATIONS if ablations else {})}
    # The head alone stays as it was trained, a segmentor like any other.
    variants = {
        row: replace(variant, temperature=own.temperature) if variant.steps else variant
        for row, variant in variants.items()
    }
    asked: dict[Variant, dict] = {}
    for row, variant in variants.items():
        if variant not in asked:
            started = time.monotonic()
            answer = pipeline.one_shot(scan, variant)
            seconds = time.monotonic() - started
            if profile is None:
                profile = profile_of(answer)
            remove_islands(answer.prior.probabilities)
            labels = pipeline.bundle.labels
            maps = [label_probability(answer.prior, label.value, scan.grid) for label in labels]
            maps = [found for found in maps if found is not None]
            whole = partial(whole_probability, maps, shape_kji=truth.shape)
            labelmap = compose(maps, truth.shape)
            asked[variant] = case_row(labelmap, whole, truth, labels, scan.grid.spacing_kji, seconds)
        figures[row] = asked[variant]
    return figures, profile


def spoilt_profiles(pipeline: Pipeline, scan: Scan, seed: int) -> dict[str, np.ndarray]:
    """The profile of -log p(v) of a scan spoilt in each way of `SPOILT`."""
    return {kind: profile_of(pipeline.one_shot(spoilt(scan, kind, seed))) for kind in SPOILT}


def calibrate_dssm(
    pipeline: Pipeline,
    folder: Path,
    names: Sequence[str] = (),
    progress: Callable[[float, str], None] = lambda share, what: None,
    notify: Callable[[str], None] = lambda text: None,
) -> dict:
    """How sure the answer may be of itself, and what images that the model knows look like to it.

    Args:
        folder: holds images/ and labels/ with the same file names.
        names: only these cases (file names without extension), unseen by the weights.
        notify: told of a GPU that is full, and of cases that are left out.

    Returns:
        {"temperature", "typical"}: the temperature of least negative log-likelihood near the labels' borders,
        and `typicality.reference_of` the images; with `Cases.lacking`.

    Raises:
        as `evaluate_dssm`; VolumeError also where no label is in the cases.
    """
    cases = Cases(folder, names, notify=notify)
    pipeline.check(None, ["dssm"])
    rng = np.random.default_rng(0)

    def looked_at(one: Pipeline, n: int, volume: Volume) -> tuple[list[np.ndarray], list[LabelProbability]]:
        scan = one.scan(volume)
        prior = one.one_shot(scan, replace(one.dssm_variant, temperature=1.0)).prior
        known = known_profiles(one, scan, seed=n)
        shown = [label_probability(prior, label.value, scan.grid) for label in one.bundle.labels]
        return known, [found for found in shown if found is not None]

    def known_and_near(n: int, file: str, volume: Volume, truth: np.ndarray) -> tuple[list, list]:
        progress(n / len(cases.files), file)
        known, shown = pipeline.where_there_is_room(partial(looked_at, n=n, volume=volume), notify)
        return known, [pair for one in shown for pair in near_border(one, truth, volume.spacing_kji, rng)]

    done = [found for _, found in cases.each(known_and_near)]
    progress(1.0, "done")
    profiles, near = ([one for found in done for one in found[part]] for part in (0, 1))
    return {"temperature": best_temperature(near), "typical": reference_of(profiles)} | cases.lacking


def known_profiles(pipeline: Pipeline, scan: Scan, seed: int) -> list[np.ndarray]:
    """Profiles of a scan as it is, and as training might show it, `DRAWS` times."""
    generator = torch.Generator(scan.image.device).manual_seed(seed)
    shown = [scan.image, *(augmented(scan.image[None], generator)[0] for _ in range(DRAWS))]
    return [profile_of(pipeline.one_shot(Scan(image, scan.grid, scan.bounds_ras))) for image in shown]


def ood_figures(
    known: Sequence[np.ndarray], others: dict[str, Sequence[np.ndarray]], reference: dict
) -> dict:
    """{"ood_auroc": …, "ood_auroc_by_kind": {kind: …}}: does `unlikeness` tell others from known images?"""
    inside = [unlikeness(one, reference) for one in known]
    outside = {kind: [unlikeness(one, reference) for one in found] for kind, found in others.items()}
    every = [score for scores in outside.values() for score in scores]
    return {"ood_auroc": _auroc(inside, every), "ood_auroc_by_kind": _by_kind(inside, outside)}


def left_out_figures(known: Sequence[np.ndarray], others: dict[str, Sequence[np.ndarray]]) -> dict:
    """`ood_figures` where no other images are at hand to calibrate on.

    Each known image is judged by a reference made of the others; unlike images by the mean of their scores
    under all these references.
    """
    references = [reference_of([*known[:n], *known[n + 1 :]]) for n in range(len(known))]
    inside = [unlikeness(one, reference) for one, reference in zip(known, references, strict=True)]
    outside = {
        kind: [float(np.mean([unlikeness(one, reference) for reference in references])) for one in found]
        for kind, found in others.items()
    }
    every = [score for scores in outside.values() for score in scores]
    return {"ood_auroc": _auroc(inside, every), "ood_auroc_by_kind": _by_kind(inside, outside)}


def _by_kind(inside: Sequence[float], outside: dict[str, Sequence[float]]) -> dict[str, float]:
    return {kind: _auroc(inside, scores) for kind, scores in outside.items()}


def _auroc(inside: Iterable[float], outside: Iterable[float]) -> float:
    inside, outside = list(inside), list(outside)
    return auroc(np.array(inside + outside), np.array([False] * len(inside) + [True] * len(outside)))
