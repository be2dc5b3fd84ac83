"""segment IMAGE: a prior mask and its refinement, into a file."""

import argparse
import time
from pathlib import Path

import numpy as np

from HiDiffRefineLib.cli.outputs import check_distinct
from HiDiffRefineLib.cli.progress import progress_bar
from HiDiffRefineLib.cli.report import print_volumes, warn, warn_about_image
from HiDiffRefineLib.errors import BundleError, ConfigError
from HiDiffRefineLib.inference.checks import MODES
from HiDiffRefineLib.inference.roi import RegionOfInterest


def add_to(commands) -> None:
    """Adds this command to the parser."""
    parser = commands.add_parser("segment", help="segment and refine an image")
    parser.add_argument("image", type=Path, help="NIfTI, NRRD or MHA file, or a folder of DICOM")
    parser.add_argument("--series", help="number or description, where a DICOM folder holds several")
    parser.add_argument(
        "--bundle", required=True, help="name of a model bundle (see: bundles), or its folder"
    )
    parser.add_argument("--output", type=Path, required=True, help=".seg.nrrd for 3D Slicer, or .nii.gz")
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="segmentor",
        help="what is refined: the segmentor's mask, or DSSM's one-shot answer (default: segmentor)",
    )
    parser.add_argument("--prior-only", action="store_true", help="that mask itself, unrefined")
    parser.add_argument("--steps", type=int, help="reverse steps of the refiner (default: the bundle's)")
    parser.add_argument("--seed", type=int, default=0, help="fixes the result (default 0)")
    parser.add_argument(
        "--probabilities", type=Path, help="also write P(label), a 4-D .nii.gz, labels in order"
    )
    parser.add_argument("--volumes", type=Path, metavar="FILE.csv", help="also write a table of millilitres")
    parser.add_argument(
        "--roi",
        action="append",
        type=region,
        default=[],
        metavar="R,A,S,r",
        help="only within r mm of a point in RAS mm; may be given more than once",
    )
    parser.add_argument(
        "--hints",
        nargs="+",
        type=label_file,
        default=[],
        metavar="LABEL=FILE",
        help="with --mode dssm: hints on a label, such as liver=clicks.mrk.json (files: see refine)",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.set_defaults(run=run)


def region(text: str) -> RegionOfInterest:
    """A region of interest from "R,A,S,r" in mm."""
    try:
        *center, radius = (float(part) for part in text.split(","))
    except ValueError:
        center, radius = (), np.nan
    if len(center) != 3 or not np.isfinite([*center, radius]).all() or radius <= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not R,A,S,r in mm, for instance 28,-20,-18,30")
    return RegionOfInterest(tuple(center), radius)


def label_file(text: str) -> tuple[str, Path]:
    """A label's name and a file from "LABEL=FILE"."""
    name, _, file = text.partition("=")
    if not name or not file:
        raise argparse.ArgumentTypeError(f"'{text}' is not LABEL=FILE, for instance liver=clicks.mrk.json")
    return name, Path(file)


def run(options) -> None:
    """Segments an image and writes the result."""
    from HiDiffRefineLib.bundles import load_bundle
    from HiDiffRefineLib.dicom.images import read_image
    from HiDiffRefineLib.inference.compose import whole_probability
    from HiDiffRefineLib.inference.models import choose_device
    from HiDiffRefineLib.inference.pipeline import Pipeline, segment
    from HiDiffRefineLib.session.engine import model_name
    from HiDiffRefineLib.volumes.provenance import made_here, tagged
    from HiDiffRefineLib.volumes.volume_table import write_volume_table
    from HiDiffRefineLib.volumes.write import (
        PROBABILITY_EXTENSIONS,
        SEGMENTATION_EXTENSIONS,
        check_destination,
        write_segmentation,
    )

    check_destination(options.output, SEGMENTATION_EXTENSIONS)
    if options.probabilities:
        check_destination(options.probabilities, PROBABILITY_EXTENSIONS)
    if options.volumes:
        check_destination(options.volumes, (".csv",))
    inputs = [options.image, *(file for _, file in options.hints)]
    check_distinct(inputs, [options.output, options.probabilities, options.volumes])
    pipeline = Pipeline(load_bundle(options.bundle), choose_device(options.device), options.mode)
    prior_only = options.prior_only or not pipeline.bundle.refined_without_hints
    _check_networks(pipeline, options.steps, prior_only)
    volume = read_image(options.image, options.series)
    hints = _label_hints(options.hints, pipeline, volume)
    warn_about_image(volume, pipeline.bundle.settings["intensity"])
    started, warnings = time.monotonic(), []
    with progress_bar() as progress:
        labelmap, maps = segment(
            pipeline,
            volume,
            options.roi,
            options.steps,
            options.seed,
            prior_only,
            progress,
            warnings.append,
            hints,
        )
    for warning in dict.fromkeys(warnings):
        warn(warning)
    steps = 0 if prior_only else options.steps or pipeline.refiner_bundle.settings["steps"]
    told = {"bundle": model_name(pipeline), "seed": options.seed, "steps": steps}
    made = made_here(automatic=not hints, **told)
    labels = [tagged(label, made) for label in pipeline.bundle.labels]
    whole = []
    if options.probabilities:
        whole = [whole_probability(maps, label.value, labelmap.shape) for label in labels]
    write_segmentation(options.output, labelmap, volume.ijk_to_ras, labels, options.probabilities, whole)
    table = print_volumes(labelmap, volume.ijk_to_ras, labels, options.roi)
    if options.volumes:
        write_volume_table(options.volumes, table)
    files = (options.output, options.probabilities, options.volumes)
    written = [str(path.resolve()) for path in files if path]
    print(f"Wrote {' and '.join(written)} in {time.monotonic() - started:.0f} s on {pipeline.device}.")
    if pipeline.bundle.research_only:
        print("This model is for research use only: see its LICENSE.")


def _label_hints(files: list[tuple[str, Path]], pipeline, volume) -> dict[int, list]:
    """Label value → hints of its files."""
    from HiDiffRefineLib.geometry.grids import Grid
    from HiDiffRefineLib.hints.files import read_hints

    if files and pipeline.mode != "dssm":
        raise ConfigError("Only DSSM takes hints while it segments.", "Add --mode dssm, or use refine.")
    values = {label.name: label.value for label in pipeline.bundle.labels}
    hints: dict[int, list] = {}
    for name, file in files:
        if name not in values:
            raise ConfigError(f"The model knows no '{name}'.", f"Its labels: {', '.join(values)}.")
        grid = Grid(volume.array.shape, volume.ijk_to_ras)
        hints.setdefault(values[name], []).extend(read_hints(file, grid))
    return hints


def _check_networks(pipeline, steps: int | None, prior_only: bool) -> None:
    """Refuses what can't run before the image is read, and says that the refiner may be left out."""
    pipeline.check(None, [pipeline.mode])
    if not prior_only:
        try:
            pipeline.check(steps, ["refiner"])
        except BundleError as error:
            remedy = f"{error.remedy} Or leave the refiner out: --prior-only."
            raise BundleError(error.message, remedy) from error
