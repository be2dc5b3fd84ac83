"""What hints do to small things, and to the same thing in voxels of other sizes: through sessions.

The rows "small_lesions" and "voxel_sizes" of an evaluation. A small thing must stay small, a click in a right
mask must change nothing beyond its border, and only voxels count, not millimetres (promise 8).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion

from HiDiffRefineLib.evaluation.cases import Cases, Subject
from HiDiffRefineLib.evaluation.cells import aligned
from HiDiffRefineLib.evaluation.lesions import ball_in_noise, draw_lesions
from HiDiffRefineLib.evaluation.metrics import dice
from HiDiffRefineLib.evaluation.robot_user import RobotHint, next_click, play
from HiDiffRefineLib.evaluation.sessions import edits, open_session
from HiDiffRefineLib.inference.intensity import scale
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.volumes.volume import Volume

# Radii of the lesions in mm, by what a table calls them.
RADII_MM = {"1.5 to 2.5 mm": (1.5, 2.5), "3 to 5 mm": (3.0, 5.0)}
# Lesions in one segment.
LESIONS = 10
# Radii in voxels of the bright balls in noise that are started from nothing.
BALLS = (2, 3, 4, 5)
# Clicks from nothing.
CLICKS = 3
# Declared sizes of the voxels, mm, and radii in voxels of the balls that are looked at in them.
SIZES_MM = (0.02, 0.06, 0.1, 0.3, 1.0, 2.0)
BODIES = (3, 21)
# Figures of a group of lesions, with what a reader sees.
FIGURES = {
    "tenth_before": "nine of ten",
    "tenth": "+ in the tenth",
    "click_inside": "+ in a right one",
    "inside_beyond_border": "voxels beyond its border",
    "click_beside": "− beside a right one",
    "beside_beyond_border": "voxels beyond its border",
    "from_nothing_1": "from nothing, 1 click",
    "from_nothing_3": "3 clicks",
}


def evaluate_small(
    pipeline: Pipeline,
    folder: Path,
    names: Sequence[str] = (),
    steps: int | None = None,
    progress: Callable[[float, str], None] = lambda share, what: None,
    subject: Subject = Subject(),  # noqa: B008 (frozen)
    notify: Callable[[str], None] = lambda text: None,
    resample: bool = False,
) -> dict:
    """Figures of lesions drawn into the cases' images, and of balls in noise.

    Args:
        folder, names, subject, notify, resample: as for `hinted.evaluate_hints`; of labels nothing is used.
        steps: reverse steps; None for the refiner's default.

    Returns:
        {"small_lesions": {group of `RADII_MM`: {"lesions", "radius_mm", figures of `FIGURES`},
        "balls_in_noise": {radius in voxels: {"1", "3"}}}, "voxel_sizes": {"dice": {size in mm: {name of the
        start: Dice}}, "largest_difference"}}. Dice are means; voxels beyond the border are the most in any
        case. A group that found room in no image is left out. With "left_out": {file name: why}.

    Raises:
        as `hinted.evaluate_hints`; KeyboardInterrupt at any time.
    """
    cases = Cases(folder, names, subject.images, resample, notify)
    parts = len(cases.files) + 2

    def drawn(n: int, file: str, volume: Volume, _) -> list[dict | None]:
        progress(n / parts, f"lesions in {file}")
        return [
            lesion_figures(pipeline, volume, radii, np.random.default_rng((n, m)), steps)
            for m, radii in enumerate(RADII_MM.values())
        ]

    done = [figures for _, figures in cases.each(drawn)]
    if cases.stopped:
        raise KeyboardInterrupt
    progress(len(cases.files) / parts, "balls in noise")
    found = {group: [one[m] for one in done if one[m]] for m, group in enumerate(RADII_MM)}
    lesions = {
        group: {"radius_mm": list(RADII_MM[group]), "cases": len(figures)} | _summary(figures)
        for group, figures in found.items()
        if figures
    }
    lesions["balls_in_noise"] = {str(radius): ball_figures(pipeline, radius, steps) for radius in BALLS}
    progress((len(cases.files) + 1) / parts, "voxel sizes")
    sizes = size_figures(pipeline, steps)
    progress(1.0, "done")
    return {"small_lesions": lesions, "voxel_sizes": sizes, "left_out": cases.left_out}


def lesion_figures(
    pipeline: Pipeline, volume: Volume, radii_mm: tuple[float, float], rng, steps: int | None
) -> dict | None:
    """Figures of `LESIONS` lesions drawn into one volume; None where they find no room."""
    low, high = pipeline.shown_range(volume)
    image = scale(volume.array, low, high)
    drawn = draw_lesions(image, volume.spacing_kji, rng.uniform(*radii_mm, LESIONS), rng)
    if drawn is None:
        return None
    # What is added, in the volume's own values, so that the bundle's rule sees what it knows.
    added = (drawn[0] - image) * (high - low)
    array = np.clip(volume.array + added, volume.array.min(), volume.array.max()).astype(np.float32)
    session = open_session(pipeline, Volume(array, volume.ijk_to_ras, volume.name, volume.modality))
    parts = slice(None), slice(-1), slice(-1, None)
    all_ten, nine, tenth = (_mask(array.shape, drawn[1][part]) for part in parts)
    inside = RobotHint(drawn[1][-1][:1], True)
    beside = RobotHint(_beside(tenth, drawn[1][-1][0]), False)

    def after(mask: np.ndarray, hint: RobotHint) -> np.ndarray:
        return edits(session, mask, steps)(mask, [hint]).mask

    # As if the other nine were not there: they would hide what happens to the one.
    kept, spared = (after(all_ten, hint) ^ all_ten ^ tenth for hint in (inside, beside))
    nothing = np.zeros_like(tenth)
    curve = play(edits(session, nothing, steps), nothing, tenth, volume.spacing_kji, CLICKS)
    return {
        "tenth_before": dice(nine, all_ten),
        "tenth": dice(after(nine, inside), all_ten),
        "click_inside": dice(kept, tenth),
        "inside_beyond_border": beyond_border(kept, tenth),
        "click_beside": dice(spared, tenth),
        "beside_beyond_border": beyond_border(spared, tenth),
        "from_nothing_1": curve.dice[1],
        "from_nothing_3": curve.dice[3],
    }


def beyond_border(mask: np.ndarray, right: np.ndarray) -> int:
    """Voxels in which a mask differs from the right one, but for the two layers along its border."""
    band = binary_dilation(right) & ~binary_erosion(right, border_value=True)
    return int(np.count_nonzero((mask != right) & ~band))


def ball_figures(pipeline: Pipeline, radius: int, steps: int | None) -> dict:
    """Dice after 1 and 3 clicks of a bright ball in noise, in voxels of 1 mm, from nothing."""
    volume, truth = ball_in_noise(radius, 1.0)
    nothing = np.zeros_like(truth)
    refine = edits(open_session(pipeline, volume), nothing, steps)
    curve = play(refine, nothing, truth, volume.spacing_kji, CLICKS)
    return {"1": curve.dice[1], "3": curve.dice[3]}


def size_figures(pipeline: Pipeline, steps: int | None) -> dict:
    """Dice of balls in noise, whose voxels are said to be of many sizes, after the same clicks.

    Each is started from nothing, from its lower half, and from the right mask, into which one click goes.
    """
    figures: dict[str, dict[str, float]] = {f"{size:g}": {} for size in SIZES_MM}
    for radius in BODIES:
        truth = ball_in_noise(radius, 1.0)[1]
        half = truth & (np.arange(len(truth)) < len(truth) // 2)[:, None, None]
        for name, start in (("nothing", half & False), ("half", half), ("right", truth)):
            hints = _fixed_hints(truth, start)[: CLICKS if name == "nothing" else 1]
            for size_mm, row in zip(SIZES_MM, figures.values(), strict=True):
                volume, _ = ball_in_noise(radius, size_mm)
                refine, mask = edits(open_session(pipeline, volume), start, steps), start
                for n in range(len(hints)):
                    mask = refine(mask, hints[: n + 1]).mask
                row[f"ball of {radius}, from {name}"] = dice(mask, truth)
    dices = np.array([list(row.values()) for row in figures.values()])
    return {"dice": figures, "largest_difference": float(np.ptp(dices, axis=0).max())}


def format_small(result: dict) -> str:
    """The figures of `evaluate_small` as plain text for a screen."""
    lesions = dict(result["small_lesions"])
    balls = lesions.pop("balls_in_noise")
    cells = [["Small lesions, Dice", *FIGURES.values()]]
    for group, figures in lesions.items():
        values = [figures[key] for key in FIGURES]
        cells.append([group, *(f"{v:d}" if isinstance(v, int) else f"{v:.3f}" for v in values)])
    shown = [["Balls in noise, from nothing", "1 click", "3 clicks"]]
    shown += [[f"radius of {n} voxels", *(f"{row[k]:.3f}" for k in ("1", "3"))] for n, row in balls.items()]
    sizes = result["voxel_sizes"]
    rows = [["Voxels of, mm", *next(iter(sizes["dice"].values()))]]
    rows += [[size, *(f"{value:.3f}" for value in row.values())] for size, row in sizes["dice"].items()]
    tables = "\n\n".join(aligned(table) for table in (cells, shown, rows))
    return f"{tables}\nLargest difference between sizes: {sizes['largest_difference']:.3f}\n"


def _summary(cases: list[dict]) -> dict:
    worst = [key for key in FIGURES if key.endswith("beyond_border")]
    return {
        key: max(c[key] for c in cases) if key in worst else float(np.mean([c[key] for c in cases]))
        for key in FIGURES
    }


def _mask(shape, lesions: Sequence[np.ndarray]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(np.concatenate(lesions).T)] = True
    return mask


def _beside(mask: np.ndarray, center_kji: np.ndarray) -> np.ndarray:
    """(1, 3) the second voxel outside along i, near the border; the first at the image's end."""
    k, j, i = center_kji
    after = np.flatnonzero(~mask[k, j, i:]) + i
    return np.array([[k, j, after[:2].max()]])


def _fixed_hints(truth: np.ndarray, start: np.ndarray) -> list[RobotHint]:
    """Clicks that depend on no answer: where the robot would click if each repaired a part about it."""
    if np.array_equal(truth, start):
        return [next_click(~truth & False, truth, (1, 1, 1))]
    mask, hints = start.copy(), []
    while len(hints) < CLICKS and (hint := next_click(mask, truth, (1, 1, 1), hints)):
        hints.append(hint)
        around = tuple(slice(max(n - 2, 0), n + 3) for n in hint.voxels_kji[0])
        mask[around] = truth[around]
    return hints
