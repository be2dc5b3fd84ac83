"""Hints for the one-shot answer: class means of this image move, hinted voxels hold, nothing is trained."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from HiDiffRefineLib.dssm import DSSM, markov_steps
from HiDiffRefineLib.dssm.hints import Known, moved_mixture
from HiDiffRefineLib.dssm.mixture import ClassMixture
from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.hints.hint import Hint, bounds_ras
from HiDiffRefineLib.hints.rasterize import hint_labels
from HiDiffRefineLib.inference.models import autocast

# Label value → its hints, in order of time.
LabelHints = Mapping[int, Sequence[Hint]]


def hint_map(hints: LabelHints, grid: Grid) -> np.ndarray:
    """int16 (k, j, i): the label's value where a hint says that a voxel is of it, its negative where not.

    A positive hint wins over negative ones of other labels; of two positive ones the later label.
    """
    found = np.zeros(grid.shape_kji, np.int16)
    for sign in (-1, 1):
        for value, given in hints.items():
            found[hint_labels(given, grid) == sign] = sign * value
    return found


def known_of(shown: torch.Tensor, labels: int, stride_kji: Sequence[int]) -> Known:
    """What hints allow on the features' grid.

    Args:
        shown: `hint_map` values (B, 1, k, j, i).
        labels: classes, background included. stride_kji: from that grid to the features'.
    """
    values = torch.arange(labels, device=shown.device).view(1, -1, 1, 1, 1)
    foreground = values > 0
    stride = tuple(stride_kji)
    yes = F.max_pool3d(((shown == values) & foreground).float(), stride) > 0
    no = F.max_pool3d(((shown == -values) & foreground).float(), stride) > 0
    return Known(torch.where(yes.any(1, keepdim=True), yes, ~no))


@torch.inference_mode()
def hinted_mixture(
    network: DSSM,
    image: torch.Tensor,
    ijk_to_ras: np.ndarray,
    spacing_kji: Sequence[float],
    patch_kji: Sequence[int],
    hints: LabelHints,
    steps: int,
) -> ClassMixture:
    """The network's mixture with the means that the voxels of all positive hints give, see `moved_mixture`.

    Args:
        image: (1, k, j, i) in 0…1 with its 4×4 ijk_to_ras.
        spacing_kji: of the working grid, mm. patch_kji: of a window around each hint.
        steps: of the chain, whose last features count.
    """
    features, classes = [], []
    stride = network.pixels.stem.stride
    for value, given in hints.items():
        for hint in (hint for hint in given if hint.positive):
            grid = centered_grid(bounds_ras(hint).mean(0), patch_kji, spacing_kji)
            window = resample(image, ijk_to_ras, grid)[None]
            with autocast(image.device):
                *_, last = markov_steps(network, window, steps)
            mask = torch.from_numpy(hint_labels([hint], grid) > 0).to(image.device)
            here = F.max_pool3d(mask[None, None].float(), stride)[0, 0] > 0
            features.append(last.v[0][:, here].T)
            classes.append(torch.full((len(features[-1]),), value, device=image.device))
    if not features:
        return network.mixture
    return moved_mixture(network.mixture, torch.cat(features), torch.cat(classes))


def obeying(labelmap: np.ndarray, hints: LabelHints, grid: Grid) -> np.ndarray:
    """A labelmap (k, j, i) in which every hint holds, to the voxel of its own grid."""
    shown = hint_map(hints, grid)
    result = np.where((shown < 0) & (labelmap == -shown), 0, labelmap)
    return np.where(shown > 0, shown, result).astype(labelmap.dtype)
