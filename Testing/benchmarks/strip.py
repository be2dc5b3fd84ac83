"""A strip of pictures of one repair on real data: prior, hint, previews, final mask, truth.

    python Testing/benchmarks/strip.py --bundle abdomen-ct --data DIR --case btcv_01 --label pancreas \\
        --hints 2 --output strip.png [--prior segmentor|empty|DIR] [--steps N]

One row for each hint of the robot user (clicks), in the axial plane through it, the patient's right on the
left: the mask before, the hint, the mask after reverse steps 1, 2, 4 and after the last one, and the truth.
The numbers are Dice of the whole structure. Weights trained on the case flatter: give those of its fold.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.errors import ConfigError, HiDiffRefineError
from HiDiffRefineLib.evaluation.cases import find_cases, label_names, read_case
from HiDiffRefineLib.evaluation.hinted import as_hint, check_prior, judged, networks, previews, starter
from HiDiffRefineLib.evaluation.metrics import dice
from HiDiffRefineLib.evaluation.robot_user import next_click
from HiDiffRefineLib.geometry.boxes import object_bounds_ras
from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.geometry.sampling import resample, resample_labelmap
from HiDiffRefineLib.inference.models import choose_device
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.volumes.write import check_destination

SHOWN = (1, 2, 4)  # reverse steps, besides the last
PIXELS = 360  # of a picture's side
MARGIN, SMALLEST_MM = 1.15, 50.0  # of what a picture shows around mask, truth and hint
MASK, TRUTH = "#ffb000", "#40e0ff"


def repair(pipeline, segment, mask, truth, count: int, steps: int) -> list[dict]:
    """One row for each hint: {"hint": Click, "masks": {column: bool (k, j, i)}}."""
    rows, placed = [], []
    for _ in range(count):
        hint = next_click(mask, truth, segment.grid.spacing_kji, placed)
        if hint is None:
            break
        placed.append(hint)
        masks = {"before": mask, "hint": mask}  # before the first hint: the prior
        edit = previews(pipeline, segment, pipeline.network("refiner"), pipeline.chain, steps, mask, placed)
        for step, preview in enumerate(edit, 1):
            if step in SHOWN or step == steps:
                after = mask.copy()
                after[preview.box] = preview.mask
                masks[f"step {step}" if step < steps else f"final (step {step})"] = after
        mask = after
        rows.append({"hint": as_hint(hint, segment.grid), "masks": {**masks, "truth": truth}})
    return rows


def draw(path: Path, title: str, segment, rows: list[dict]) -> None:
    """Writes the strip as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D

    columns = len(rows[0]["masks"])
    size = (2.4 * columns, 2.65 * len(rows) + 0.4)
    figure, axes = plt.subplots(len(rows), columns, figsize=size, squeeze=False, facecolor="black")
    for number, (row, line) in enumerate(zip(rows, axes, strict=True), 1):
        hint, masks, truth = row["hint"], row["masks"], row["masks"]["truth"]
        plane = _plane(masks["before"] | truth, hint.point_ras, segment.grid)
        image = resample(segment.image, segment.grid.ijk_to_ras, plane)[0, 0].cpu().numpy()
        place = _pixel(hint.point_ras, plane)
        for axis, (column, mask) in zip(line, masks.items(), strict=True):
            axis.imshow(image, cmap="gray", origin="lower", vmin=0, vmax=1)
            _outline(axis, truth, segment.grid, plane, TRUTH, 1.0)
            if column != "truth":
                _outline(axis, mask, segment.grid, plane, MASK, 1.6)
                name = "prior" if (number, column) == (1, "before") else column
                name = f"{name}, Dice {dice(mask, truth):.3f}"
            if column == "hint":
                shape, color = ("+", "#40ff60") if hint.positive else ("x", "#ff4060")
                axis.plot(*place, shape, color=color, ms=11, mew=2.2)
                name = f"hint {number}, {'positive' if hint.positive else 'negative'}"
            axis.set_title("truth" if column == "truth" else name, color="white", fontsize=10)
            axis.invert_xaxis()
            axis.set_axis_off()
    lines = [Line2D([], [], color=color, label=what) for what, color in ((title, MASK), ("truth", TRUTH))]
    top = 1 - 0.6 / size[1]  # inches for the legend and the titles
    figure.legend(handles=lines, loc="upper left", ncols=2, labelcolor="white", frameon=False, borderpad=0)
    figure.subplots_adjust(0.004, 0.01, 0.996, top, 0.02, 0.13)
    figure.savefig(path, dpi=84, facecolor="black")
    plt.close(figure)


def _plane(shown: np.ndarray, point_ras: np.ndarray, grid: Grid) -> Grid:
    """An axial plane of square pixels through a point, around what the mask `shown` (k, j, i) holds."""
    bounds = object_bounds_ras(shown, grid.ijk_to_ras)
    low, high = np.minimum(bounds[0], point_ras), np.maximum(bounds[1], point_ras)
    side = max((high - low)[:2].max() * MARGIN, SMALLEST_MM)
    center = np.append((low + high)[:2] / 2, point_ras[2])
    return centered_grid(center, (1, PIXELS, PIXELS), (1.0, side / PIXELS, side / PIXELS))


def _pixel(point_ras: np.ndarray, plane: Grid) -> tuple[float, float]:
    column, row, _ = (np.linalg.inv(plane.ijk_to_ras) @ np.append(point_ras, 1.0))[:3]
    return column, row


def _outline(axis, mask: np.ndarray, grid: Grid, plane: Grid, color: str, width: float) -> None:
    part = resample_labelmap(mask.astype(np.uint8), grid.ijk_to_ras, plane)[0]
    if part.any():
        axis.contour(part, [0.5], colors=[color], linewidths=width)


def make(options: argparse.Namespace) -> None:
    """Repairs one structure of one case and draws it."""
    check_destination(options.output, (".png",))
    pipeline = Pipeline(load_bundle(options.bundle), choose_device(options.device))
    (file,) = find_cases(options.data, [options.case])
    prior = options.prior or ("empty" if pipeline.bundle.kind == "refiner" else "segmentor")
    check_prior(prior, [file], pipeline)
    pipeline.check(options.steps, networks(pipeline, prior))
    steps = options.steps or pipeline.chain.steps
    volume, labels = read_case(options.data, file)
    names = label_names(options.data) | {label.value: label.name for label in pipeline.bundle.labels}
    present = {names.get(value, str(value)): value for value in judged(pipeline, labels)}
    if options.label not in present:
        raise ConfigError(f"{file} has no '{options.label}'.", f"Choose one of {', '.join(present)}.")
    truth = labels == present[options.label]
    segment, mask = starter(pipeline, volume, prior, file, labels)(present[options.label])
    rows = repair(pipeline, segment, mask, truth, options.hints, steps)
    if not rows:
        raise ConfigError("Nothing is wrong with this prior.", "Choose another case, label or prior.")
    draw(options.output, f"{options.case}, {options.label}", segment, rows)
    print(f"Wrote {options.output.resolve()}")


def main() -> None:
    parser = argparse.ArgumentParser(description="pictures of one repair")
    parser.add_argument("--bundle", required=True, help="name or folder, or refiner-only")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="holds images/ and labels/")
    parser.add_argument("--case", required=True, help="file name without suffix")
    parser.add_argument("--label", required=True, help="name of the structure")
    parser.add_argument("--hints", type=int, default=1, metavar="N", help="rows (default 1)")
    parser.add_argument("--prior", metavar="segmentor|empty|DIR", help="what the repair starts from")
    parser.add_argument("--steps", type=int, help="reverse steps (default: the whole chain)")
    parser.add_argument("--output", type=Path, default=Path("strip.png"), help=".png file")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    options = parser.parse_args()
    if options.hints < 1:
        parser.error("--hints must be 1 or more")
    try:
        make(options)
    except HiDiffRefineError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
