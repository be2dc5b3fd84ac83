"""The robot user's hints given to other tools: 3D Slicer's Grow from seeds and scikit-image's random walker.

    python Testing/benchmarks/peers.py --data DIR --cases NAME … --hints 10 --json FILE [--prior DIR|empty]
    python Testing/benchmarks/record_peers.py FILE --bundle models/abdomen-ct

The second line enters the rows into the table that `evaluate --hints … --record models/abdomen-ct` has
recorded of the same sessions. Where that one started from a segmentor's masks, so must the peers: with the
same weights (those of the fold that has not seen the cases) and for each case

    python -m HiDiffRefineLib segment IMAGE --bundle BUNDLE --prior-only --output DIR/NAME

README.md beside this file says how they are seeded and what the figures mean.
"""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects
from skimage.segmentation import random_walker

from HiDiffRefineLib.cli.outputs import write_json
from HiDiffRefineLib.errors import HiDiffRefineError
from HiDiffRefineLib.evaluation.ball import ball_painter
from HiDiffRefineLib.evaluation.cases import find_cases, read_case, read_labels_on
from HiDiffRefineLib.evaluation.centre_line import depth_mm
from HiDiffRefineLib.evaluation.hint_table import build_hints, format_hint_table
from HiDiffRefineLib.evaluation.hinted import setup
from HiDiffRefineLib.evaluation.robot_user import ROBOTS, Answer, RobotHint, placer, play
from HiDiffRefineLib.volumes.new_files import check_writable
from HiDiffRefineLib.volumes.read import title

UNDECIDED, FOREGROUND, BACKGROUND = 0, 1, 2

# Seeds in mm, chosen to the peers' advantage (README.md).
ERODED = 4.0  # foreground: what lies so deep in the prior, or half as deep as its deepest voxel
FAR = 6.0  # background: what is further from the prior
CLEAR = 12.0  # but neither so near to a hint that contradicts it
FAR_WITHOUT_PRIOR = 60.0  # background where the prior is empty: what is further from every positive hint
BRUSH = 3.0  # radius of the spot painted at a hint

# The random walker's weight of edges, for grey values in 0…1: 5000 did better than the default of 130.
BETA = 5000


def seeder(prior: np.ndarray, spacing_kji: np.ndarray) -> Callable[[Sequence[RobotHint]], np.ndarray]:
    """A function from the hints so far to seeds, as a user of these tools would paint them over a prior.

    Args:
        prior: bool (k, j, i).
        spacing_kji: voxel size in mm.

    Returns:
        hints → uint8 (k, j, i) of UNDECIDED, FOREGROUND and BACKGROUND.
    """
    depth = depth_mm(prior, spacing_kji)
    core = (depth > 0) & (depth >= min(ERODED, depth.max() / 2))
    around = _distance_mm(prior, spacing_kji) > FAR
    reach = _reach_mm(prior)
    faces = np.ones(prior.shape, bool)
    faces[1:-1, 1:-1, 1:-1] = False

    def seeds(hints: Sequence[RobotHint]) -> np.ndarray:
        hinted = np.zeros((2, *prior.shape), bool)
        for hint in hints:
            hinted[int(hint.positive)][tuple(hint.voxels_kji.T)] = True
        negative, positive = (_distance_mm(voxels, spacing_kji) for voxels in hinted)
        far = around & (positive > reach)
        if not far.any():  # a small image: its faces must do
            far = faces & ~prior
        result = np.where(far, BACKGROUND, UNDECIDED).astype(np.uint8)
        result[core & (negative > CLEAR)] = FOREGROUND
        result[(positive <= BRUSH) & (positive < negative)] = FOREGROUND
        result[(negative <= BRUSH) & (negative < positive)] = BACKGROUND
        return result

    return seeds


def _reach_mm(prior: np.ndarray) -> float:
    return CLEAR if prior.any() else FAR_WITHOUT_PRIOR


def _distance_mm(voxels: np.ndarray, spacing_kji: np.ndarray) -> np.ndarray:
    if not voxels.any():
        return np.full(voxels.shape, np.inf)
    return distance_transform_edt(~voxels, sampling=spacing_kji)


def grow_from_seeds(image: np.ndarray, seeds: np.ndarray, spacing_kji: np.ndarray) -> np.ndarray:
    """What 3D Slicer's segment editor effect "Grow from seeds" runs, with its default seed locality of 0.

    Args:
        image: (k, j, i) grey values.
        seeds: uint8 (k, j, i), as from `seeder`.
        spacing_kji: voxel size in mm.

    Returns:
        bool (k, j, i), the foreground.
    """
    from slicer import vtkImageGrowCutSegment
    from vtk import vtkImageData
    from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

    def to_vtk(array: np.ndarray) -> vtkImageData:
        result = vtkImageData()
        result.SetDimensions(array.shape[::-1])
        result.SetSpacing(spacing_kji[::-1].tolist())
        result.GetPointData().SetScalars(numpy_to_vtk(array.ravel(), deep=True))
        return result

    grow = vtkImageGrowCutSegment()
    grow.SetIntensityVolume(to_vtk(image))
    grow.SetSeedLabelVolume(to_vtk(seeds))
    grow.Update()
    labels = vtk_to_numpy(grow.GetOutput().GetPointData().GetScalars())
    return labels.reshape(image.shape) == FOREGROUND


def walk_randomly(image: np.ndarray, seeds: np.ndarray, spacing_kji: np.ndarray) -> np.ndarray:
    """scikit-image's random walker; arguments and result as for `grow_from_seeds`."""
    low, high = np.percentile(image, [0.5, 99.5])
    grey = np.clip((image - low) / (high - low), 0, 1)
    spacing = spacing_kji / spacing_kji.min()
    # Its solver leaves some probabilities outside 0…1, of which it would warn each time without prob_tol.
    accuracy = {"tol": 1e-4, "prob_tol": 1.0}
    labels = random_walker(grey, seeds.astype(np.int32), beta=BETA, mode="cg_j", spacing=spacing, **accuracy)
    return labels == FOREGROUND


def refiner(tool: Callable, image: np.ndarray, prior: np.ndarray, spacing_kji: np.ndarray) -> Callable:
    """A `refine` for `play`: the tool segments anew from the seeds of the prior and of all hints."""
    seeds_of = seeder(prior, spacing_kji)

    def refine(mask: np.ndarray, hints: Sequence[RobotHint]) -> Answer:
        seeds = seeds_of(hints)
        # Background around the undecided voxels decides as much as all of it would.
        (box,) = find_objects((seeds != BACKGROUND).view(np.uint8))
        box = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
        result = np.zeros_like(mask)
        result[box] = tool(image[box], seeds[box], spacing_kji)
        return Answer(result)

    return refine


def surroundings(prior: np.ndarray, truth: np.ndarray, spacing_kji) -> tuple[slice, slice, slice]:
    """The box of a segment beyond which all is background, whatever the hints: nothing is lost by a crop."""
    (box,) = find_objects((prior | truth).view(np.uint8))
    pad = np.ceil(_reach_mm(prior) / spacing_kji).astype(int) + 1
    return tuple(slice(max(0, s.start - p), s.stop + p) for s, p in zip(box, pad, strict=True))


def measure(options: argparse.Namespace, tools: dict[str, Callable]) -> dict:
    """The JSON: every label that a case's truth holds is one pair, its hints those of `evaluate --hints`."""
    files = find_cases(options.data, options.cases)
    rows: dict[str, list] = {}
    for n, file in enumerate(files):
        volume, truth = read_case(options.data, file)
        prior = np.zeros_like(truth)
        if options.prior != "empty":
            prior = read_labels_on(volume, Path(options.prior) / file)
        spacing_kji = volume.spacing_kji
        for label in np.unique(truth[truth > 0]):
            start, goal = prior == label, truth == label
            box = surroundings(start, goal, spacing_kji)
            image, start, goal = volume.array[box], start[box], goal[box]
            refines = {name: refiner(tool, image, start, spacing_kji) for name, tool in tools.items()}
            if options.robot != "scribble":
                refines["ball"] = ball_painter(goal, spacing_kji)
            for name, refine in refines.items():
                started = time.monotonic()
                place = placer(options.robot, (n, label))
                curve = play(refine, start, goal, spacing_kji, options.hints, place)
                rows.setdefault(name, []).append(curve)
                told = f"{curve.dice[0]:.3f} -> {curve.dice[-1]:.3f} in {time.monotonic() - started:.0f} s"
                print(f"{file} label {label}, {name}: {told}", file=sys.stderr)
    return {
        "cases": [title(Path(file)) for file in files],
        "hints": build_hints(rows),
        "hints_setup": setup(options.data, options.prior, options.robot, options.hints, rows),
        "command": shlex.join(["python", "Testing/benchmarks/peers.py", *sys.argv[1:]]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="the robot user's hints given to other tools")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="holds images/ and labels/")
    parser.add_argument("--cases", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument("--hints", type=int, default=10, metavar="N", help="for each segment (default 10)")
    parser.add_argument(
        "--prior",
        default="empty",
        metavar="DIR",
        help="masks with the labels' file names, or empty (default)",
    )
    parser.add_argument("--robot", choices=ROBOTS, default="click", help="how hints are given")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if options.hints < 1:
        parser.error("--hints must be 1 or more")

    tools = {"grow_from_seeds": grow_from_seeds, "random_walker": walk_randomly}
    os.environ.pop("DISPLAY", None)
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    try:
        import slicer  # noqa: F401
    except ImportError as error:
        print(f"Grow from seeds is left out, slicer-core cannot be imported: {error}", file=sys.stderr)
        del tools["grow_from_seeds"]
    try:
        if options.json:
            check_writable(options.json)
        result = measure(options, tools)
        print(format_hint_table(result["hints"]))
        if options.json:
            write_json(options.json, result)
    except HiDiffRefineError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # slicer-core now and then crashes when its process ends
