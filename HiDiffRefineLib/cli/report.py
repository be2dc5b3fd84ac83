"""What `segment`, `refine` and the demo say about an image and about what was found in it."""

import sys
from collections.abc import Sequence

import numpy as np

from HiDiffRefineLib.bundles import Bundle
from HiDiffRefineLib.geometry.boxes import part_of
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Hint
from HiDiffRefineLib.hints.rasterize import describe, hint_voxels
from HiDiffRefineLib.inference.intensity import is_8_bit_display
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.volumes.checks import likeness_to_labels
from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.nifti_forms import difference
from HiDiffRefineLib.volumes.volume import Volume
from HiDiffRefineLib.volumes.volume_table import (
    cut_values,
    millilitres_per_voxel,
    volume_table,
    volume_text,
)


def warn_about_image(volume: Volume, bundle: Bundle) -> None:
    """Says on stderr what is odd about an image: its header's places, few values, a CT in 0…255."""
    if volume.forms and (apart := difference(volume.forms, volume.ijk_to_ras, volume.array.shape)):
        warn(f"{volume.name}: {apart}")
    if likeness_to_labels(volume.array):
        warn(f"{volume.name} holds few values in large regions: is it an image, and not a segmentation?")
    rule = bundle.settings["intensity"]
    if is_8_bit_display(volume.array, rule):
        window = f"{rule['low']:g}…{rule['high']:g} HU"
        warn(f"{volume.name} has values in 0…255 only and is taken for an 8-bit display of {window}.")


def volumes_at(
    labelmap: np.ndarray, ijk_to_ras: np.ndarray, labels: Sequence[Label], regions: Sequence[RegionOfInterest]
) -> list[dict]:
    """The `volume_table` of every label, with a column for each of several regions of interest.

    Args:
        labelmap: (k, j, i).
        ijk_to_ras: 4×4.
        labels: the rows.
        regions: columns, named by their centres.
    """
    grid, parts = Grid(labelmap.shape, ijk_to_ras), {}
    for roi in regions if len(regions) > 1 else ():
        box = roi.box(grid)
        center = ",".join(f"{x:g}" for x in roi.center_ras)
        parts[f"at {center}"] = labelmap[box][roi.holds(part_of(grid, box))]
    return volume_table(labelmap, ijk_to_ras, labels, parts)


def print_volumes(table: Sequence[dict]) -> None:
    """Prints a table of `volumes_at`; warns where all is empty."""
    parts = [name for name in table[0] if name.startswith("ml ")]
    print("".join([f"{'ml':<28}", *(f"{name[3:]:>18}" for name in parts), f"{'in all':>18}"]))
    for row in table:
        told = [*(volume_text(row[name]) for name in parts), volume_text(row["ml"], row["cut"])]
        volumes = [text.removesuffix(" ml") for text in told]
        print("".join([f"{row['segment']:<28}", *(f"{volume:>18}" for volume in volumes)]))
    if any(row["cut"] for row in table):
        print("At least: cut by the image's border.")
    if not any(row["voxels"] for row in table):
        warn("The model found nothing in this image: every segment is empty.")


def print_change(name: str, before: np.ndarray, after: np.ndarray, ijk_to_ras: np.ndarray) -> None:
    """Prints how large a segment was and is; masks (k, j, i) and their 4×4."""
    voxel_ml = millilitres_per_voxel(ijk_to_ras)
    sizes = []
    for mask in (before, after):
        count = np.count_nonzero(mask)
        sizes.append(f"{volume_text(count * voxel_ml, bool(cut_values(mask)))} ({count} voxels)")
    added, taken = np.count_nonzero(after & ~before), np.count_nonzero(before & ~after)
    print(f"{name}: {' -> '.join(sizes)}; {added} voxels added, {taken} taken away.")


def print_hints(hints: Sequence[Hint], mask: np.ndarray, grid: Grid) -> None:
    """Prints each hint with the share of its voxels that hold it in a mask (k, j, i) on the grid."""
    met = 0
    for number, hint in enumerate(hints, 1):
        held = (mask[tuple(hint_voxels(hint, grid).T)] == hint.positive).mean()
        met += held == 1
        # By construction nothing but a later hint takes a voxel away from one.
        fate = "met" if held == 1 else f"overruled by later hints in {1 - held:.0%} of its voxels"
        print(f"  hint {number}, {describe(hint)}: {fate}")
    print(f"{met} of {len(hints)} hints met in every voxel.")


def warn(sentence: str) -> None:
    """A sentence on stderr."""
    print(f"Warning: {sentence}", file=sys.stderr)
