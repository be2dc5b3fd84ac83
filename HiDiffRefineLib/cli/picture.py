"""A picture of prior and refined mask over the image."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np

from HiDiffRefineLib.geometry.boxes import object_bounds_ras, voxel_box
from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.geometry.sampling import resample, resample_labelmap
from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.new_files import new_files
from HiDiffRefineLib.volumes.volume import Volume

# Pixels of a view along its longer side.
PIXELS = 320
VIEWS = {
    "axial": (1, 2),
    "coronal": (0, 2),
    "sagittal": (0, 1),
}  # rows, columns of a (k, j, i) = (S, A, R) grid


def save_picture(
    path: Path,
    volume: Volume,
    prior: np.ndarray,
    refined: np.ndarray,
    labels: Sequence[Label],
    places: Sequence[np.ndarray] = (),
) -> None:
    """Axial, coronal and sagittal views through every separate part of the segmentation, or other places.

    Args:
        path: .png file.
        volume: the image.
        prior, refined: labelmaps (k, j, i); the prior is drawn dashed.
        labels: whose colours are drawn.
        places: boxes (2, 3) RAS mm whose middles are shown, each with its surroundings; none for the parts.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D

    parts = places or _sides(volume, (prior > 0) | (refined > 0))
    figure, axes = plt.subplots(
        len(parts), 3, figsize=(12, 4.1 * len(parts)), squeeze=False, facecolor="black"
    )
    whole = Grid(prior.shape, volume.ijk_to_ras).bounds_ras()
    widest = (whole[1] - whole[0]).max()
    for row, bounds in zip(axes, parts, strict=True):
        extent = min((bounds[1] - bounds[0]).max() * 1.5, widest)
        spacing = extent / PIXELS
        grid = centered_grid(bounds.mean(0), (PIXELS,) * 3, (spacing,) * 3)
        box = voxel_box(Grid(prior.shape, volume.ijk_to_ras), grid.bounds_ras())
        window = np.percentile(volume.array[box], [1, 99.5])
        for axis, (name, plane) in zip(row, VIEWS.items(), strict=True):
            _draw(axis, name, plane, grid, window, volume, prior, refined, labels)
    present = np.union1d(prior, refined)
    names = {}
    for label in labels:
        if label.value in present:  # left and right may share a colour, and then a line of the legend
            names[label.color] = label.type.meaning if label.color in names else label.name
    handles = [Line2D([], [], color=np.array(color) / 255, label=name) for color, name in names.items()]
    handles.append(Line2D([], [], color="white", linestyle=":", label="prior"))
    figure.legend(
        handles=handles, loc="lower center", ncols=6, labelcolor="white", facecolor="black", fontsize=9
    )
    lines = ceil(len(handles) / 6)
    figure.subplots_adjust(0.01, (0.06 + 0.06 * lines) / len(parts), 0.99, 0.97, 0.02, 0.08)
    with new_files(path) as [new]:
        figure.savefig(new, dpi=90, facecolor="black")
    plt.close(figure)


def _draw(axis, name, plane, grid: Grid, window, volume, prior, refined, labels) -> None:
    """One view: the slice of `grid` through its middle, the patient's right on the left."""
    import torch

    (normal,) = {0, 1, 2} - set(plane)
    shape = list(grid.shape_kji)
    shape[normal] = 1
    slab = centered_grid(grid.center_ras, shape, grid.spacing_kji)
    image = resample(torch.from_numpy(volume.array.astype(np.float32))[None], volume.ijk_to_ras, slab)[
        0
    ].numpy()
    image = np.squeeze(image, normal)
    low, high = window
    axis.imshow(image, cmap="gray", origin="lower", vmin=low, vmax=max(high, low + 1))
    for labelmap, style in ((prior, ":"), (refined, "-")):
        part = np.squeeze(resample_labelmap(labelmap, volume.ijk_to_ras, slab), normal)
        for label in labels:
            if (part == label.value).any():
                color = [np.array(label.color) / 255]
                axis.contour(part == label.value, [0.5], colors=color, linestyles=style, linewidths=1.3)
    if name != "sagittal":
        axis.invert_xaxis()
    axis.set_title(
        f"{name}, {('R', 'A', 'S')[2 - normal]} = {grid.center_ras[2 - normal]:.0f} mm", color="white"
    )
    axis.set_axis_off()


def _sides(volume: Volume, mask: np.ndarray) -> list[np.ndarray]:
    """Boxes in RAS mm, left first, of a paired segmentation whose halves lie apart; else one box of all."""
    if not mask.any():
        return [Grid(mask.shape, volume.ijk_to_ras).bounds_ras()]
    bounds = object_bounds_ras(mask, volume.ijk_to_ras)
    ijk = np.argwhere(mask)[:, ::-1]
    right = (ijk @ volume.ijk_to_ras[:3, :3].T + volume.ijk_to_ras[:3, 3])[:, 0]
    middle = bounds[:, 0].mean()
    gap = np.abs(right - middle).min()
    if gap < 5:
        return [bounds]
    halves = []
    for half in (right < middle, right > middle):
        part = np.zeros_like(mask)
        part[tuple(np.argwhere(mask)[half].T)] = True
        halves.append(object_bounds_ras(part, volume.ijk_to_ras))
    return halves
