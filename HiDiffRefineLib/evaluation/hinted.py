"""The robot user corrects every label of every case, through each way of answering hints."""

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from HiDiffRefineLib.errors import ConfigError, VolumeError
from HiDiffRefineLib.evaluation.ball import ball_painter
from HiDiffRefineLib.evaluation.cases import Cases, Subject, label_names, read_labels_on
from HiDiffRefineLib.evaluation.coarse import ellipsoid
from HiDiffRefineLib.evaluation.hint_table import build_hints
from HiDiffRefineLib.evaluation.more_less import Edit, more_or_less
from HiDiffRefineLib.evaluation.robot_user import Answer, RobotHint, placer, play
from HiDiffRefineLib.evaluation.sessions import as_hint
from HiDiffRefineLib.geometry.boxes import object_bounds_ras
from HiDiffRefineLib.inference.compose import compose, label_probability
from HiDiffRefineLib.inference.edit import Segment, edit_steps
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.inference.regions import look_at, working_spacing_kji
from HiDiffRefineLib.inference.segmentor import prior_of_labels
from HiDiffRefineLib.volumes.volume import Volume

# All of a data set, each label by itself.
WHOLE = Subject()
# What sessions may start from, but for masks from a folder.
PRIORS = ("segmentor", "empty", "coarse")


def evaluate_hints(
    pipeline: Pipeline,
    folder: Path,
    count: int,
    names: Sequence[str] = (),
    steps: int | None = None,
    prior: str = "segmentor",
    robot: str = "click",
    progress: Callable[[float, str], None] = lambda share, what: None,
    subject: Subject = WHOLE,
    notify: Callable[[str], None] = lambda text: None,
    resample: bool = False,
) -> dict:
    """Figures of all rows over the (case, label) pairs whose label is in the truth.

    Args:
        pipeline: its bundle's labels are judged; without a segmentor, every label of the truth.
        folder: holds images/ and labels/ with the same file names.
        count: hints at most.
        names: only these cases (file names without extension).
        steps: reverse steps of the row "refiner"; None for the refiner's default.
        prior: see `check_prior`.
        subject: which images, and what is judged in them.
        notify, resample: see `Cases`.
        robot: one of `ROBOTS`. With scribbles there is no row "ball", which is painted at clicks.

    Returns:
        {"hints": the JSON of `build_hints`, "hints_setup": what `setup` gives, "steps" and "device"}
        and `Cases.lacking`.

    Raises:
        as `evaluate`, and VolumeError where no case has a label to judge.
    """
    cases = Cases(folder, names, subject.images, resample, notify)
    check_prior(prior, cases.files, pipeline)
    check_subject(subject, pipeline)
    steps = pipeline.check(steps, networks(pipeline, prior))
    cases.check(pipeline.bundle.labels)
    known = label_names(folder) | {label.value: label.name for label in pipeline.bundle.labels}
    known = {1: subject.structure} if subject.structure else known

    def corrected(n: int, file: str, volume: Volume, labels: np.ndarray) -> list[tuple[str, list]]:
        truth = subject.of(labels)
        return pipeline.where_there_is_room(lambda one: played(one, n, file, volume, truth), notify)

    def played(one: Pipeline, n: int, file: str, volume: Volume, truth: np.ndarray) -> list[tuple[str, list]]:
        start = starter(one, volume, prior, file, truth, subject, resample)
        values, found = judged(one, truth), []
        for m, value in enumerate(values):
            share = (n + m / len(values)) / len(cases.files)
            progress(share, f"{file} {known.get(value, f'label {value}')}")
            segment, mask = start(value)
            wanted = truth == value
            for row, refine in _ways(one, segment, wanted, steps, robot, (n, value)).items():
                place = placer(robot, (n, value))
                found.append((row, play(refine, mask, wanted, volume.spacing_kji, count, place)))
        return found

    curves: dict[str, list] = {}
    for _, found in cases.each(corrected):
        for row, curve in found:
            curves.setdefault(row, []).append(curve)
    progress(1.0, "done")
    if not curves:
        raise VolumeError(f"{folder} has no case with a label to correct.", "Check the files in its labels/.")
    measured = setup(folder, prior, robot, count, curves) | {"data": subject.title(folder.resolve().name)}
    measured |= {"steps": steps, "device": str(pipeline.device)}
    return {"hints": build_hints(curves), "hints_setup": measured} | cases.lacking


def setup(folder: Path, prior: str, robot: str, count: int, curves: dict[str, list]) -> dict:
    """What hint figures were measured on: {"data", "prior", "robot", "count", "pairs"}.

    The prior is one of `PRIORS` or the name of the masks' folder, `count` the hints at most, `pairs` how
    many (case, label).
    """
    prior = prior if prior in PRIORS else Path(prior).resolve().name
    pairs = len(next(iter(curves.values())))
    data = folder.resolve().name
    return {"data": data, "prior": prior, "robot": robot, "count": count, "pairs": pairs}


def check_prior(prior: str, files: Sequence[str], pipeline: Pipeline) -> None:
    """Refuses a start that is not there.

    Args:
        prior: "segmentor", "empty" to start every label from nothing, "coarse" to start from an ellipsoid at
            its place (see `ellipsoid`), or a folder that holds masks under the cases' file names, with the
            labels' values.

    Raises:
        ConfigError: a segmentor's prior of a bundle that has none.
        VolumeError: no such folder, or no mask of a case in it.
    """
    if prior == "segmentor" and pipeline.bundle.kind != "segmentor":
        raise ConfigError(
            "The refiner alone has no prior of its own.", "Add --prior empty, or --prior DIR with masks."
        )
    for file in () if prior in PRIORS else files:
        if not (Path(prior) / file).is_file():
            raise VolumeError(f"There is no mask '{file}' in {prior}.", "Put the cases' masks there.")


def check_subject(subject: Subject, pipeline: Pipeline) -> None:
    """Refuses (ConfigError) to join labels for a segmentor, which knows them one by one."""
    if subject.structure and pipeline.bundle.kind == "segmentor":
        raise ConfigError(
            f"'{pipeline.bundle.name}' has labels of its own, which can't be joined.",
            "Use --bundle refiner-only with --structure.",
        )


def networks(pipeline: Pipeline, prior: str) -> list[str]:
    """What must run for a prior."""
    return [*(["segmentor"] if prior == "segmentor" else []), "refiner", "plain_refiner"]


def judged(pipeline: Pipeline, truth: np.ndarray) -> list[int]:
    """Values of the labels that are in a truth (k, j, i), of those that the bundle knows if it knows any."""
    present = np.unique(truth[truth > 0]).tolist()
    known = {label.value for label in pipeline.bundle.labels}
    return [value for value in present if value in known or not known]


def starter(
    pipeline: Pipeline,
    volume: Volume,
    prior: str,
    file: str,
    truth: np.ndarray,
    subject: Subject = WHOLE,
    resample: bool = False,
) -> Callable[[int], tuple[Segment, np.ndarray]]:
    """Label value → the segment as edits take it, and its mask (k, j, i) to start from.

    Others as for `evaluate_hints`; the truth (k, j, i) says where coarse masks lie.
    """
    scan = pipeline.scan(volume)
    if prior == "segmentor":
        found = pipeline.prior(scan)
        maps = [label_probability(found, label.value, scan.grid) for label in pipeline.bundle.labels]
        labelmap = compose(maps, scan.grid.shape_kji)
        return lambda value: (Segment(scan.image, scan.grid, found, value), labelmap == value)
    if prior in PRIORS:
        labelmap = np.zeros(scan.grid.shape_kji, np.uint8)
    else:
        labelmap = subject.of(read_labels_on(volume, Path(prior) / file, resample))

    def start(value: int) -> tuple[Segment, np.ndarray]:
        mask = ellipsoid(truth == value) if prior == "coarse" else labelmap == value
        # As in a session: 1 is the mask that came from elsewhere, 2 the other segments.
        here = prior_of_labels(np.where(mask, 1, 2 * (labelmap > 0)), scan.grid, 3, pipeline.device)
        return Segment(scan.image, scan.grid, here, 1, foreign=True), mask

    return start


def _ways(
    pipeline: Pipeline, segment: Segment, truth: np.ndarray, steps: int, robot: str, seed: Sequence[int]
) -> dict[str, Callable]:
    """Row → how it answers (mask, hints so far); the seed fixes what a clumsy user does."""
    refiner, plain = pipeline.network("refiner"), pipeline.network("plain_refiner")

    def by(network, chain, steps):
        return lambda mask, hints: answered(
            mask, previews(pipeline, segment, network, chain, steps, mask, hints), steps
        )

    def edit(mask, hints):
        return previews(pipeline, segment, refiner, pipeline.chain, steps, mask, hints)

    ways = {
        "refiner_1_step": by(refiner, pipeline.chain, 1),
        "refiner": by(refiner, pipeline.chain, steps),
        "more_less": more_or_less(edit, truth),
        "more_less_clumsy": more_or_less(edit, truth, np.random.default_rng(seed)),
        "plain_refiner": by(plain, None, 1),
    }
    if robot != "scribble":
        ways["ball"] = ball_painter(truth, segment.grid.spacing_kji)
    return ways


def answered(mask: np.ndarray, edit: Edit, steps: int) -> Answer:
    """What an edit of a mask (k, j, i) shows after so many steps, its last; nothing waits for its extents."""
    *_, last = islice(edit, steps)
    result, unclamped = mask.copy(), mask.copy()
    result[last.box], unclamped[last.box] = last.mask, last.unclamped
    return Answer(result, unclamped, last.box)


def previews(
    pipeline: Pipeline,
    segment: Segment,
    network,
    chain,
    steps: int,
    mask: np.ndarray,
    hints: Sequence[RobotHint],
) -> Edit:
    """An edit under all hints, after each reverse step; the chain is None for the plain refiner."""
    given = [as_hint(hint, segment.grid) for hint in hints]
    bounds = object_bounds_ras(mask, segment.grid.ijk_to_ras) if mask.any() else None
    patch_kji, label = pipeline.refiner_bundle.patch_size_kji, None if segment.foreign else segment.label
    working_kji = working_spacing_kji(pipeline.bundle, segment.grid, patch_kji, label)
    look = look_at(given[-1], mask, bounds, segment.grid, working_kji, patch_kji, label)
    beyond = None if look.reach_ras is None else look.beyond(segment.grid)
    return edit_steps(
        network, chain, segment, mask, given, look.region, steps, seed=0, locked=beyond, fresh=look.fresh
    )
