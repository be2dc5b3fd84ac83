"""What `segment` and the demo say about an image and about what was found in it."""

import sys
from collections.abc import Sequence

import numpy as np

from HiDiffRefineLib.geometry.boxes import part_of
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.intensity import is_8_bit_display
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.volume import Volume


def warn_about_image(volume: Volume, rule: dict) -> None:
    """Says on stderr where a CT is taken for an 8-bit display; rule: the bundle's intensity rule."""
    if is_8_bit_display(volume.array, rule):
        window = f"{rule['low']:g}…{rule['high']:g} HU"
        _warn(f"{volume.name} has values in 0…255 only and is taken for an 8-bit display of {window}.")


def print_volumes(
    labelmap: np.ndarray, ijk_to_ras: np.ndarray, labels: Sequence[Label], regions: Sequence[RegionOfInterest]
) -> None:
    """Prints the millilitres of every label, in each of several regions and in all; warns where all is empty.

    Args:
        labelmap: (k, j, i).
        ijk_to_ras: 4×4.
        labels: the rows.
        regions: of interest; the columns before the last, named by their centres.
    """
    grid = Grid(labelmap.shape, ijk_to_ras)
    columns = []
    for roi in regions if len(regions) > 1 else ():
        box = roi.box(grid)
        center = ",".join(f"{x:g}" for x in roi.center_ras)
        columns.append((f"at {center}", labelmap[box][roi.holds(part_of(grid, box))]))
    columns.append(("in all", labelmap))
    voxel_ml = abs(np.linalg.det(ijk_to_ras[:3, :3])) / 1000
    print("".join([f"{'ml':<28}", *(f"{name:>18}" for name, _ in columns)]))
    for label in labels:
        volumes = (np.count_nonzero(values == label.value) * voxel_ml for _, values in columns)
        print("".join([f"{label.name:<28}", *(f"{volume:18.1f}" for volume in volumes)]))
    if not labelmap.any():
        _warn("The model found nothing in this image: every segment is empty.")


def _warn(sentence: str) -> None:
    print(f"Warning: {sentence}", file=sys.stderr)
