"""make demo: the MNI152 template, or a user's own image, segmented, refined and shown."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from HiDiffRefineLib.cli.progress import progress_bar
from HiDiffRefineLib.cli.report import print_change, print_hints, print_volumes, volumes_at, warn_about_image
from HiDiffRefineLib.errors import HiDiffRefineError
from HiDiffRefineLib.geometry.boxes import object_bounds_ras
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click
from HiDiffRefineLib.inference.roi import RegionOfInterest

OUTPUT = Path("demo")
# Middle of either hippocampus in the MNI152 template, RAS mm, and half the side of the cube around it.
HIPPOCAMPI = (RegionOfInterest((-28, -21, -16), 25), RegionOfInterest((28, -21, -16), 25))
BRAIN, CORRECTED = "brain-mr", "left hippocampus"
# Clicks there, RAS mm: neither the fluid in the fissure beside it nor the white matter below belongs to it.
HINTS = (Click((-23, -21, -14), False), Click((-35, -34, -12), False))


def main(arguments: list[str] | None = None) -> int:
    """Runs the demo; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make demo")
    parser.add_argument("--input", type=Path, help="an image of your own")
    parser.add_argument("--bundle")
    options = parser.parse_args(arguments)
    try:
        if options.input is None and options.bundle in (None, BRAIN) and _has_weights(BRAIN):
            brain_demo()
        else:
            demo(options.input, options.bundle or "hippocampus-mr")
    except HiDiffRefineError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 0


def _has_weights(bundle: str) -> bool:
    from HiDiffRefineLib.bundles import load_bundle

    return bool(load_bundle(bundle).settings["weights"])


def brain_demo() -> None:
    """Segments the template, corrects one structure by clicks; writes masks, volumes and a picture."""
    from HiDiffRefineLib.bundles import load_bundle
    from HiDiffRefineLib.cli.picture import save_picture
    from HiDiffRefineLib.cli.refine import correct
    from HiDiffRefineLib.dicom.images import read_image
    from HiDiffRefineLib.inference.models import choose_device
    from HiDiffRefineLib.inference.pipeline import Pipeline, segment
    from HiDiffRefineLib.volumes.volume_table import write_volume_table
    from HiDiffRefineLib.volumes.write import write_segmentation

    OUTPUT.mkdir(exist_ok=True)
    pipeline = Pipeline(load_bundle(BRAIN), choose_device())
    pipeline.check(None, ("segmentor", "refiner"))
    labels = pipeline.bundle.labels
    label = next(one for one in labels if one.name == CORRECTED)
    volume = read_image(template())
    started = time.monotonic()
    with progress_bar() as progress:
        prior, _ = segment(pipeline, volume, prior_only=True, progress=progress)
    print(f"segmented in {time.monotonic() - started:.1f} s on {pipeline.device}")
    # On its own, so that what belongs to it may be taken from its neighbours.
    started, before = time.monotonic(), prior == label.value
    after = correct(pipeline, volume, before * label.value, label, [label], HINTS, None) > 0
    refined = np.where(after, label.value, np.where(before, 0, prior)).astype(prior.dtype)
    print(f"corrected in {time.monotonic() - started:.1f} s")
    table = volumes_at(refined, volume.ijk_to_ras, labels, ())
    print_volumes(table)
    write_volume_table(OUTPUT / "volumes.csv", table)
    print_change(label.name, before, after, volume.ijk_to_ras)
    grid = Grid(prior.shape, volume.ijk_to_ras)
    print_hints(HINTS, after, grid)
    for what, mask in (("prior", prior), ("refined", refined)):
        write_segmentation(OUTPUT / f"{volume.name}_{what}.seg.nrrd", mask, volume.ijk_to_ras, labels)
    around = before | after
    near = object_bounds_ras(around if around.any() else prior > 0, volume.ijk_to_ras)
    # The whole head in the same slices: the one between the halves of the brain shows neither.
    whole = grid.bounds_ras() - grid.bounds_ras().mean(0) + near.mean(0)
    save_picture(OUTPUT / f"{volume.name}.png", volume, prior, refined, labels, [whole, near])
    for name in (f"{volume.name}_prior.seg.nrrd", f"{volume.name}_refined.seg.nrrd"):
        print(f"mask     {(OUTPUT / name).resolve()}")
    print(f"volumes  {(OUTPUT / 'volumes.csv').resolve()}")
    print(f"picture  {(OUTPUT / f'{volume.name}.png').resolve()}")
    print("Drag the .seg.nrrd and the image into 3D Slicer to look at them there.")


def demo(image: Path | None, name: str) -> None:
    """Segments and refines one image; writes prior, refined mask and a picture of both."""
    from HiDiffRefineLib.bundles import load_bundle
    from HiDiffRefineLib.cli.picture import save_picture
    from HiDiffRefineLib.dicom.images import read_image
    from HiDiffRefineLib.inference.models import choose_device
    from HiDiffRefineLib.inference.pipeline import Pipeline, segment
    from HiDiffRefineLib.volumes.write import write_segmentation

    OUTPUT.mkdir(exist_ok=True)
    regions = ()
    if image is None:
        image, regions = template(), HIPPOCAMPI
    pipeline = Pipeline(load_bundle(name), choose_device())
    pipeline.check(None, ("segmentor", "refiner"))
    volume = read_image(image)
    warn_about_image(volume, pipeline.bundle)
    masks = {}
    for what, prior_only in (("prior", True), ("refined", False)):
        started = time.monotonic()
        with progress_bar() as progress:
            masks[what], _ = segment(pipeline, volume, regions, prior_only=prior_only, progress=progress)
        path = OUTPUT / f"{volume.name}_{what}.seg.nrrd"
        write_segmentation(path, masks[what], volume.ijk_to_ras, pipeline.bundle.labels)
        print(f"{what:<8} {time.monotonic() - started:5.1f} s on {pipeline.device}  {path.resolve()}")
    print_volumes(volumes_at(masks["refined"], volume.ijk_to_ras, pipeline.bundle.labels, regions))
    changed = np.count_nonzero(masks["prior"] != masks["refined"])
    print(f"The refiner changed {changed} of {np.count_nonzero(masks['prior'])} voxels of the prior.")
    picture = OUTPUT / f"{volume.name}.png"
    save_picture(picture, volume, masks["prior"], masks["refined"], pipeline.bundle.labels)
    print(f"picture  {picture.resolve()}")
    print("Drag the .seg.nrrd and the image into 3D Slicer to look at them there.")
    validation = pipeline.bundle.settings["validation"]
    if validation:
        dice = ", ".join(
            f"{row} {figures['dice']['mean']:.3f}" for row, figures in validation["rows"].items()
        )
        print(f"How good it is on cases it has not seen ({validation['split']}): Dice {dice}.")
    if pipeline.bundle.research_only:
        print("This model is for research use only: see its LICENSE.")


def template() -> Path:
    """The T1 template that the nilearn wheel carries, stored as a file: MNI152, 1 mm, brain only."""
    from nilearn.datasets import load_mni152_template

    path = OUTPUT / "mni152_t1.nii.gz"
    load_mni152_template(resolution=1).to_filename(path)
    return path


if __name__ == "__main__":
    sys.exit(main())
