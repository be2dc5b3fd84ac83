"""segment IMAGE: a prior mask and its refinement, into a file."""

import argparse
import time
from pathlib import Path

import numpy as np

from HiDiffRefineLib.cli.outputs import check_distinct
from HiDiffRefineLib.cli.progress import progress_bar
from HiDiffRefineLib.cli.report import print_volumes, warn_about_image
from HiDiffRefineLib.errors import BundleError
from HiDiffRefineLib.inference.roi import RegionOfInterest


def add_to(commands) -> None:
    """Adds this command to the parser."""
    parser = commands.add_parser("segment", help="segment and refine an image")
    parser.add_argument("image", type=Path, help="NIfTI, NRRD or MHA file, or a folder with one DICOM series")
    parser.add_argument(
        "--bundle", required=True, help="name of a model bundle (see: bundles), or its folder"
    )
    parser.add_argument("--output", type=Path, required=True, help=".seg.nrrd for 3D Slicer, or .nii.gz")
    parser.add_argument("--prior-only", action="store_true", help="the segmentor's mask, unrefined")
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


def run(options) -> None:
    """Segments an image and writes the result."""
    from HiDiffRefineLib.bundles import load_bundle
    from HiDiffRefineLib.inference.compose import whole_probability
    from HiDiffRefineLib.inference.models import choose_device
    from HiDiffRefineLib.inference.pipeline import Pipeline, segment
    from HiDiffRefineLib.volumes.read import read_volume
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
    check_distinct([options.image], [options.output, options.probabilities, options.volumes])
    pipeline = Pipeline(load_bundle(options.bundle), choose_device(options.device))
    prior_only = options.prior_only or not pipeline.bundle.refined_without_hints
    _check_networks(pipeline, options.steps, prior_only)
    volume = read_volume(options.image)
    warn_about_image(volume, pipeline.bundle.settings["intensity"])
    started = time.monotonic()
    with progress_bar() as progress:
        labelmap, maps = segment(
            pipeline, volume, options.roi, options.steps, options.seed, prior_only, progress
        )
    labels = pipeline.bundle.labels
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


def _check_networks(pipeline, steps: int | None, prior_only: bool) -> None:
    """Refuses what can't run before the image is read, and says that the refiner may be left out."""
    pipeline.check(None, ["segmentor"])
    if not prior_only:
        try:
            pipeline.check(steps, ["refiner"])
        except BundleError as error:
            remedy = f"{error.remedy} Or leave the refiner out: --prior-only."
            raise BundleError(error.message, remedy) from error
