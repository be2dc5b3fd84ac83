"""Hints that a user would give, drawn from the error of a batch of masks on the training device.

Clicks lie deep in an error, anywhere in it, or at its border; scribbles follow the middle of an error or the
border of the truth in one slice. After ScribblePrompt (arXiv 2312.07381) and RITM (arXiv 2102.06583).
"""

import numpy as np
import torch
import torch.nn.functional as F

from HiDiffRefineLib.inference.hint_channels import (
    CLICK_SIGMA_KJI,
    HINT_CHANNELS,
    NEGATIVE_CLICK,
    NEGATIVE_SCRIBBLE,
    bump,
)

# Deep in the error, anywhere in it, at its border.
CLICK_PLACES, CLICK_SHARES = ("deep", "anywhere", "border"), (0.75, 0.15, 0.1)
SCRIBBLE_SHARE = 0.3
# Erosions after which deeper is no different.
DEEPEST = 16
# Voxels between a scribble's middle and its ends.
SCRIBBLE_REACH = (6, 24)
# The loss counts more around hints, by up to this, over this width in voxels.
NEAR_WEIGHT, NEAR_SIGMA_KJI = 4.0, (2.0, 5.0, 5.0)


class Hints:
    """The hints given so far to a batch.

    Attributes:
        channels: (B, HINT_CHANNELS, k, j, i), see `hint_channels`.
        clamped: (B, 1, k, j, i) bool, voxels that a hint holds.
        value: (B, 1, k, j, i) 0. or 1., what it holds them at.
        near: (B, 1, k, j, i) 0…1, how close a hint is.
    """

    def __init__(self, like: torch.Tensor):
        self.channels = like.new_zeros(len(like), HINT_CHANNELS, *like.shape[2:])
        self.clamped = torch.zeros_like(like, dtype=torch.bool)
        self.value = torch.zeros_like(like)
        self.near = torch.zeros_like(like)

    def hold(self, mask: torch.Tensor) -> torch.Tensor:
        """A mask or probability with the hinted voxels at their values."""
        return torch.where(self.clamped, self.value, mask)


def give_hint(hints: Hints, mask: torch.Tensor, truth: torch.Tensor, rng: np.random.Generator) -> None:
    """Adds one hint to every sample whose mask is wrong somewhere.

    Args:
        hints: changed in place.
        mask, truth: (B, 1, k, j, i) of 0. and 1.
    """
    error = (mask != truth).float()
    deep = depth(error)
    place = CLICK_PLACES[rng.choice(len(CLICK_PLACES), p=CLICK_SHARES)]
    noise = torch.rand_like(error)
    score = {"deep": deep + noise, "anywhere": noise, "border": noise * (deep == 1)}[place] * error
    flat = score.flatten(1).argmax(1)
    wrong = error.flatten(1).any(1, keepdim=True)
    shape = error.shape[2:]
    center = torch.stack(torch.unravel_index(flat, shape), dim=1).float()
    positive = truth.flatten(1)[torch.arange(len(flat), device=flat.device), flat] > 0.5
    here = torch.zeros_like(error).flatten(1).scatter_(1, flat[:, None], 1.0).view_as(error)
    if rng.random() < SCRIBBLE_SHARE:
        reach = float(rng.integers(*SCRIBBLE_REACH))
        shown = stroke(deep, truth, center, positive, reach, bool(rng.random() < 0.5))
        held, channel = torch.maximum(here, shown), NEGATIVE_SCRIBBLE
        drawn = held
    else:
        held, channel = here, NEGATIVE_CLICK
        drawn = bump(shape, center, CLICK_SIGMA_KJI)[:, None]
    near = bump(shape, center, NEAR_SIGMA_KJI)[:, None]
    given = wrong.view(-1, 1, 1, 1, 1)
    # The positive channel stands before the negative one. No look at single samples: the GPU would wait.
    sides = torch.cat([side & wrong for side in (positive[:, None], ~positive[:, None])], dim=1)
    told = drawn * sides.view(-1, 2, 1, 1, 1)
    pair = hints.channels[:, channel - 1 : channel + 1]
    torch.maximum(pair, told, out=pair)
    held = (held > 0) & given
    # Not in place: what was asked before stays as it was.
    hints.clamped = hints.clamped | held
    hints.value = torch.where(held, positive.view(-1, 1, 1, 1, 1).float(), hints.value)
    hints.near = torch.where(given, torch.maximum(hints.near, near), hints.near)


def depth(error: torch.Tensor) -> torch.Tensor:
    """How many erosions each voxel of a mask (B, 1, k, j, i) outlasts, 1 at its border, at most `DEEPEST`.

    Slices are eroded every other time, as they lie about two in-plane voxels apart.
    """
    total, left = error.clone(), error
    for n in range(1, DEEPEST):
        thick = n % 2
        padded = F.pad(1 - left, (1, 1, 1, 1, thick, thick), value=1.0)
        left = 1 - F.max_pool3d(padded, (2 * thick + 1, 3, 3), 1)
        total = total + left
    return total


def stroke(
    deep: torch.Tensor,
    truth: torch.Tensor,
    center: torch.Tensor,
    positive: torch.Tensor,
    reach: float,
    contour: bool,
) -> torch.Tensor:
    """A scribble in the slice of each centre: along the ridge of the error's depth or the truth's contour.

    Args:
        deep: the error's depth. truth: of 0. and 1., both (B, 1, k, j, i).
        center: (B, 3) voxel (k, j, i). positive: (B,) bool.
        reach: voxels in the slice.
        contour: along the border, on the side that the hint names, where the error is.

    Returns:
        (B, 1, k, j, i) of 0. and 1.; only voxels whose truth is what the hint says.
    """
    side = torch.where(positive.view(-1, 1, 1, 1, 1), truth, 1 - truth)
    if contour:
        # The outermost voxels of that side.
        line = side * F.max_pool3d(F.pad(1 - side, (1, 1, 1, 1), value=0.0), (1, 3, 3), 1)
    else:
        line = (deep > 0) & (deep >= F.max_pool3d(deep, (1, 3, 3), 1, (0, 1, 1)))
    line = line.bool() & (side > 0.5) & (F.max_pool3d(deep, (1, 3, 3), 1, (0, 1, 1)) > 0)
    k, j, i = (torch.arange(n, device=deep.device, dtype=torch.float32) for n in deep.shape[2:])
    in_slice = k[None] == center[:, :1]
    distance = (j[None, :, None] - center[:, 1, None, None]) ** 2 + (i - center[:, 2, None, None]) ** 2
    return (line & in_slice[:, None, :, None, None] & (distance <= reach**2)[:, None, None]).float()
