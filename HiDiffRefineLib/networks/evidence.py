"""What the clicked tissue itself says: how alike each voxel is, and how it hangs together with the hint.

Fuzzy connectedness (Udupa and Samarasekera, Graphical Models and Image Processing 58:246, 1996) to the newest
hint, of the tolerance kind: the least difference to the clicked tissue that a path from the hint to the voxel
has to bear. Growing by that alone finds .74 of abdominal organs in MR from one click, if somebody names the
tolerance; the network has to find the tolerance only.
"""

import torch
import torch.nn.functional as F

EVIDENCE_CHANNELS = 2
# Evidence is worked out on voxels of this size, (k, j, i): those of the network's finest features.
COARSE_KJI = (1, 2, 2)
# Rounds of sweeps along the six directions: enough for paths that turn some ten times.
ROUNDS = 3
# A difference to the clicked tissue of this size is large, in an image of 0…1.
DIFFERENCE = 0.25
# Connectedness falls to 1/e at this tolerance.
TOLERANCE = 0.1


def hint_evidence(image: torch.Tensor, newest: torch.Tensor) -> torch.Tensor:
    """The channels that the newest hint gives to the network.

    Args:
        image: (B, 1, k, j, i) in 0…1; j and i even.
        newest: (B, 1, k, j, i), not 0 in the voxels of the newest hint.

    Returns:
        float32 (B, EVIDENCE_CHANNELS, k, j, i): difference to the clicked tissue in -1…1, and connectedness
        to the hint in 0…1. Both 0 for a sample without hint.
    """
    seen = F.avg_pool3d(image.float(), COARSE_KJI)
    hinted = F.max_pool3d((newest != 0).float(), COARSE_KJI)
    count = hinted.sum((2, 3, 4), keepdim=True)
    tissue = (seen * hinted).sum((2, 3, 4), keepdim=True) / count.clamp(min=1)
    unlike = (seen - tissue).abs()
    tolerance = least_tolerance(unlike, hinted > 0)
    there = (count > 0).float()
    difference = there * torch.tanh((seen - tissue) / DIFFERENCE)
    connected = there * torch.exp(-tolerance / TOLERANCE)
    found = torch.cat([difference, connected], dim=1)
    return F.interpolate(found, scale_factor=tuple(float(n) for n in COARSE_KJI), mode="nearest")


def least_tolerance(unlike: torch.Tensor, hinted: torch.Tensor) -> torch.Tensor:
    """min over paths from a hinted voxel of the largest `unlike` on the path, ends included.

    Every sweep carries the tolerance along one axis in one direction through the whole grid, as a scan by
    doubling: minima and maxima are exact, so that every device finds the same.

    Args:
        unlike: (B, 1, k, j, i) ≥ 0.
        hinted: bool of that shape.

    Returns:
        of that shape; 1 where no path was found.
    """
    found = torch.where(hinted, unlike, torch.ones_like(unlike))
    ways = [_bars(unlike, axis, back) for axis in (2, 3, 4) for back in (False, True)]
    for _ in range(ROUNDS):
        for n, bars in enumerate(ways):
            found = _sweep(found, bars, 2 + n // 2, bool(n % 2))
    return found


def _sweep(found: torch.Tensor, bars: list[torch.Tensor], axis: int, back: bool) -> torch.Tensor:
    """x_n ← min(x_n, max(x_{n-1}, u_n)) along an axis, for n = 1, 2, …, or backwards.

    The maps f_n(x) = min(x_n, max(x, u_n)) compose to maps of that form: f_n ∘ f_{n-d} has x = min(x_n,
    max(x_{n-d}, u_n)) and u = max(u_n, u_{n-d}), of which `_bars` has those that are met.
    """
    for bar in bars:
        met = bar.shape[axis]
        near, far = _ends(found, axis, met, back)
        moved = torch.minimum(near, torch.maximum(far, bar))
        kept = found.narrow(axis, met if back else 0, found.shape[axis] - met)
        found = torch.cat([moved, kept] if back else [kept, moved], dim=axis)
    return found


def _bars(unlike: torch.Tensor, axis: int, back: bool) -> list[torch.Tensor]:
    """u of `_sweep` for every doubling, without the voxels that have none so far before them."""
    bars, size, step = [], unlike.shape[axis], 1
    while step < size:
        near, far = _ends(unlike, axis, size - step, back)
        bars.append(near)
        kept = unlike.narrow(axis, size - step if back else 0, step)
        moved = torch.maximum(near, far)
        unlike = torch.cat([moved, kept] if back else [kept, moved], dim=axis)
        step *= 2
    return bars


def _ends(x: torch.Tensor, axis: int, count: int, back: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The last `count` along an axis and the first ones, which lie as far before them; or the other way."""
    first, last = x.narrow(axis, 0, count), x.narrow(axis, x.shape[axis] - count, count)
    return (first, last) if back else (last, first)
