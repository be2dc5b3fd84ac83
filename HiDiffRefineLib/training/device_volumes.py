"""Volumes that stay on the training device, and what lies at the voxels of many patches at once."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from HiDiffRefineLib.geometry.boxes import part_of
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.training.cases import Case

# A label with fewer voxels than this is no target.
FEWEST_VOXELS = 20
# Places that are kept of each label.
PLACES_KEPT = 2000


@dataclass(frozen=True)
class DeviceVolume:
    """A case on a device.

    Args:
        image: (1, k, j, i) float32 in 0…1; None for a label map of which images are made.
        labels: (k, j, i) uint8.
        ijk_to_ras: 4×4 float64 of both.
        spacing_kji: voxel size in mm along S, A, R.
        working_kji: spacing in mm that edits of such images start from.
        places: label → (n, 3) RAS mm of some of its voxels.
        bounds: label → (2, 3) RAS mm.
        sizes: label → mm³.
        prior: (labels, k, j, i) uint8 out-of-fold probabilities without background, 255 for 1; None for none.
        prior_to_ras: 4×4 float64 of it.
        errors: label → 1 - Dice of its prior; .5 without one.
    """

    image: torch.Tensor | None
    labels: torch.Tensor
    ijk_to_ras: np.ndarray
    spacing_kji: np.ndarray
    working_kji: np.ndarray
    places: dict[int, np.ndarray]
    bounds: dict[int, np.ndarray]
    sizes: dict[int, float]
    prior: torch.Tensor | None
    prior_to_ras: np.ndarray | None
    errors: dict[int, float]


def device_volume(
    case: Case, device: torch.device, rng: np.random.Generator, prior: Prior | None = None
) -> DeviceVolume:
    """A packed case on a device.

    Args:
        case: its image is None for a label map.
        rng: chooses the places that are kept of each label.
        prior: out-of-fold.
    """
    linear = case.ijk_to_ras[:3, :3]
    size_ijk = np.linalg.norm(linear, axis=0)
    spacing_kji = size_ijk[np.abs(linear / size_ijk).argmax(axis=1)][::-1]
    image = None if case.image is None else torch.from_numpy(case.image)[None].to(device).float() / 255
    labels = torch.from_numpy(case.labels).to(device)
    places, bounds, sizes = {}, {}, {}
    for label in torch.unique(labels)[1:].tolist():
        at_kji = torch.nonzero(labels == label)
        if len(at_kji) < FEWEST_VOXELS:
            continue
        low, high = at_kji.amin(0).cpu().numpy(), at_kji.amax(0).cpu().numpy()
        box = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
        chosen = torch.from_numpy(rng.integers(len(at_kji), size=PLACES_KEPT)).to(device)
        ijk = np.c_[at_kji[chosen].cpu().numpy()[:, ::-1], np.ones(PLACES_KEPT)]
        places[label] = (ijk @ case.ijk_to_ras.T)[:, :3]
        bounds[label] = part_of(Grid(labels.shape, case.ijk_to_ras), box).bounds_ras()
        sizes[label] = float(np.prod(size_ijk)) * len(at_kji)
    table, errors = None, dict.fromkeys(places, 0.5)
    if prior is not None:
        table = torch.round(prior.probabilities[1:].float() * 255).to(torch.uint8).to(device)
        errors = {
            label: prior_error(labels, case.ijk_to_ras, table, prior.grid.ijk_to_ras, label)
            for label in places
        }
    return DeviceVolume(
        image,
        labels,
        case.ijk_to_ras,
        spacing_kji,
        spacing_kji if prior is None else prior.grid.spacing_kji,
        places,
        bounds,
        sizes,
        table,
        None if prior is None else prior.grid.ijk_to_ras,
        errors,
    )


def prior_error(labels, labels_to_ras, table, table_to_ras, label: int) -> float:
    """1 - Dice of one label of a prior, on the prior's grid; tensors as `DeviceVolume` holds them."""
    shape = table.shape[1:]
    k, j, i = torch.meshgrid(*(torch.arange(n, device=table.device) for n in shape), indexing="ij")
    index = torch.stack([i, j, k]).float()[None]
    at = unit_coordinates(index, [unit_matrix(labels.shape, labels_to_ras, table_to_ras)])
    truth = sampled([(labels == label).float()[None]], at)[0, 0] > 0.5
    mask = table[label - 1] > 127
    return 1 - float(2 * (truth & mask).sum() / (truth.sum() + mask.sum()).clamp(min=1))


def unit_matrix(shape_kji, volume_to_ras: np.ndarray, patch_to_ras: np.ndarray) -> np.ndarray:
    """3×4 from a patch's (i, j, k, 1) to grid_sample's -1…1 of a volume, with aligned corners."""
    sizes = np.maximum(np.array(shape_kji[::-1], float), 2)
    matrix = np.diag([*(2 / (sizes - 1)), 1.0]) @ np.linalg.inv(volume_to_ras) @ patch_to_ras
    matrix[:3, 3] -= 1
    return matrix[:3]


def unit_coordinates(index: torch.Tensor, matrices: list[np.ndarray]) -> torch.Tensor:
    """(B, 3, k, j, i) coordinates for `sampled`.

    Args:
        index: (B or 1, 3, k, j, i) the patch's (i, j, k) at each voxel.
        matrices: B of `unit_matrix`.
    """
    table = torch.from_numpy(np.stack(matrices).astype(np.float32))
    table = (table.pin_memory() if index.is_cuda else table).to(index.device, non_blocking=True)
    flat = index.flatten(2).expand(len(table), -1, -1)
    return torch.baddbmm(table[:, :, 3:], table[:, :, :3], flat).unflatten(2, index.shape[2:])


def sampled(volumes: list[torch.Tensor], at: torch.Tensor) -> torch.Tensor:
    """Trilinear values (B, C, k, j, i), 0 outside; a voxel reaches to its outer edge, as in `resample`.

    Args:
        volumes: B of (C, k, j, i) float32 in 0…1.
        at: of `unit_coordinates`.
    """
    sizes = torch.tensor([[float(max(n, 2)) for n in volume.shape[:0:-1]] for volume in volumes])
    edges = (sizes / (sizes - 1))[:, :, None, None, None].to(at.device, non_blocking=True)
    at = torch.where(at.abs() <= edges, at.clamp(-1, 1), at).movedim(1, -1)
    found = [F.grid_sample(v[None], p[None], align_corners=True) for v, p in zip(volumes, at, strict=True)]
    # Interpolation weights add up to 1 + 2e-7.
    return torch.cat(found).clamp(0, 1)
