"""Soft Dice over a batch: a small organ that a patch lacks is no perfect score there."""

import torch

# Added to both sides of the ratio, in voxels.
SMOOTH = 1.0


def soft_dice_loss(probability: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """1 - mean soft Dice of the classes but background (Milletari et al. 2016); both (B, C, k, j, i)."""
    space = (0, 2, 3, 4)
    shared = (probability * truth).sum(space)[1:]
    total = (probability.sum(space) + truth.sum(space))[1:]
    return 1 - ((2 * shared + SMOOTH) / (total + SMOOTH)).mean()
