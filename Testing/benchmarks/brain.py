"""brain-mr on the MNI152 template, which it has never seen, and on the same head seen otherwise.

    python Testing/benchmarks/brain.py [--bundle DIR] [--json FILE]

The template and the grey and white matter maps come with nilearn. The exit status is 1 where a figure misses
its goal.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.cli.outputs import write_json
from HiDiffRefineLib.evaluation.metrics import dice
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample_labelmap
from HiDiffRefineLib.inference.models import choose_device
from HiDiffRefineLib.inference.pipeline import Pipeline, segment
from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.volume import Volume

FLUID = ("ventricle", "csf")
SLICES_PER_SLAB = 5
# Smallest figures, and the range of left over right volume.
GOALS = {"tissue": 0.95, "inverted": 0.85, "thick": 0.85}
SIDES = (0.8, 1.25)


def template() -> tuple[Volume, np.ndarray]:
    """The MNI152 T1 template, 1 mm, and its tissue: bool (k, j, i), grey + white matter above one half."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_template, load_mni152_wm_template

    image = load_mni152_template(resolution=1)
    grey, white = (load(resolution=1) for load in (load_mni152_gm_template, load_mni152_wm_template))
    tissue = grey.get_fdata() + white.get_fdata() > 0.5
    array = image.get_fdata().astype(np.float32)
    return Volume(array.transpose(2, 1, 0), image.affine, "mni152", "MR"), tissue.transpose(2, 1, 0)


def inverted(volume: Volume) -> Volume:
    """What is bright is dark; the black around a stripped brain stays black."""
    top = volume.array.max()
    return volume.like(np.where(volume.array > 0, 1.05 * top - volume.array, 0))


def thick(volume: Volume, slices: int = SLICES_PER_SLAB) -> Volume:
    """Slabs of several slices, each their mean."""
    count = len(volume.array) // slices
    slabs = volume.array[: count * slices].reshape(count, slices, *volume.array.shape[1:]).mean(1)
    ijk_to_ras = volume.ijk_to_ras.copy()
    ijk_to_ras[:3, 3] += ijk_to_ras[:3, 2] * (slices - 1) / 2
    ijk_to_ras[:3, 2] *= slices
    return Volume(slabs, ijk_to_ras, volume.name, volume.modality)


CHANGES = {"inverted": inverted, "thick": thick}


def figures(
    labelmap_of: Callable[[Volume], np.ndarray],
    volume: Volume,
    tissue: np.ndarray,
    labels: Sequence[Label],
    changes: Mapping[str, Callable[[Volume], Volume]] = CHANGES,
) -> dict:
    """What a segmentor is worth on a volume without labels.

    Args:
        labelmap_of: volume → labelmap (k, j, i) on its grid.
        tissue: bool (k, j, i), brain without fluid.
        labels: of the labelmaps.
        changes: name → how to see the head otherwise.

    Returns:
        {"tissue": Dice of all structures but fluid, "absent": names of structures not found, "sides": name →
        left over right volume, name of each change: mean Dice over structures against the answer to the
        volume itself, "seconds": of the first answer}.
    """
    started = time.monotonic()
    found = labelmap_of(volume)
    seconds = time.monotonic() - started
    solid = [label.value for label in labels if not any(word in label.name for word in FLUID)]
    count = {label.name: np.count_nonzero(found == label.value) for label in labels}
    lefts = [name.removeprefix("left ") for name in count if name.startswith("left ")]
    sides = {name: count[f"left {name}"] / max(count[f"right {name}"], 1) for name in lefts}
    result = {"tissue": dice(np.isin(found, solid), tissue), "sides": sides}
    result["absent"] = [name for name, voxels in count.items() if not voxels]
    for name, change in changes.items():
        other = change(volume)
        grid = Grid(other.array.shape, other.ijk_to_ras)
        expected, answer = resample_labelmap(found, volume.ijk_to_ras, grid), labelmap_of(other)
        each = {one.name: dice(answer == one.value, expected == one.value) for one in labels}
        result |= {name: float(np.mean(list(each.values()))), f"{name}_per_label": each}
    return result | {"seconds": seconds}


def missed(result: dict) -> list[str]:
    """One sentence for each goal that the result of `figures` misses."""
    reached = {name: result[name] for name in GOALS if name in result}
    faults = [f"{name} {value:.3f} < {GOALS[name]}" for name, value in reached.items() if value < GOALS[name]]
    faults += [f"no {name}" for name in result["absent"]]
    low, high = SIDES
    return faults + [f"left/right {k} {v:.2f}" for k, v in result["sides"].items() if not low <= v <= high]


def measured(bundle: str, device: torch.device) -> dict:
    """`figures` of a bundle's segmentor on the template."""
    pipeline = Pipeline(load_bundle(bundle), device)
    return figures(
        lambda volume: segment(pipeline, volume, prior_only=True)[0], *template(), pipeline.bundle.labels
    )


def main() -> int:
    """Prints the figures; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bundle", default="brain-mr")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    result = measured(options.bundle, choose_device())
    print(f"tissue {result['tissue']:.3f}, {result['seconds']:.0f} s")
    for name, ratio in result["sides"].items():
        each = " ".join(
            f"{result[f'{way}_per_label'][f'{side} {name}']:7.3f}"
            for way in ("inverted", "thick")
            for side in ("left", "right")
        )
        print(f"{name:<28}left/right {ratio:.2f}   inverted, thick (left, right each) {each}")
    print(f"inverted {result['inverted']:.3f}, slices of {SLICES_PER_SLAB} mm {result['thick']:.3f}")
    faults = missed(result)
    print("\n".join(faults) or "All goals are reached.")
    if options.json:
        write_json(options.json, result)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
