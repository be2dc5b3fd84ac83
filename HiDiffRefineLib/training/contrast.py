"""Which grey each structure of a synthetic head has, and its texture."""

import numpy as np
import torch

from HiDiffRefineLib.training.acquisition import smooth_field

# FreeSurfer's numbers (left side) of what holds fluid, and of what else is in a brain with its share of white
# matter: how far its grey lies from that of cortex (0) to that of white matter (1) in T1, T2 and FLAIR.
FLUID = (4, 5, 14, 15, 24, 72)
WHITE = {2: 1.0, 3: 0.0, 7: 1.0, 8: 0.0, 10: 0.5, 11: 0.1, 12: 0.2, 13: 0.75, 16: 0.85, 17: 0.05, 18: 0.0}
WHITE |= {26: 0.1, 28: 0.75, 30: 0.5, 85: 0.9, 136: 0.2, 137: 0.2}
AIR = 0
# Share of images in which tissues are in the order that real sequences show, whichever end is bright.
ORDERED_SHARE = 0.5
# Share of images whose air is black; in the others it has any grey up to this one, as structures have.
BLACK_AIR_SHARE, GREYEST_AIR = 0.8, 0.4


class Tissues:
    """Tables over structures, on the device, so that no draw has to wait for one.

    Args:
        unsided: (n,) FreeSurfer's number of each structure, the same for left and right.
        device: where the tables stay.
    """

    def __init__(self, unsided: np.ndarray, device: torch.device):
        kinds, kind = np.unique(unsided, return_inverse=True)
        white = [WHITE.get(int(value), 0.0) for value in kinds]
        self.count = len(kinds)
        self.kind = torch.as_tensor(kind, device=device)
        self.is_air = torch.as_tensor(kinds == AIR, device=device)
        self.is_fluid = torch.as_tensor(np.isin(kinds, FLUID), device=device)
        self.is_tissue = torch.as_tensor(np.isin(kinds, list(WHITE)), device=device)
        self.white = torch.tensor(white, device=device)


def random_greys(structures: torch.Tensor, tissues: Tissues, generator: torch.Generator) -> torch.Tensor:
    """An image (B, k, j, i) float32, most of it in 0…1, every structure in a grey of its own.

    Args:
        structures: (B, k, j, i) uint8, positions in the tables.
    """
    batch, *shape = structures.shape
    device = structures.device

    def uniform(*size: int) -> torch.Tensor:
        return torch.rand(size, generator=generator, device=device)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator, device=device)

    level = uniform(batch, tissues.count)
    fluid, grey, white = (uniform(batch, 1) for _ in range(3))
    jitter = 0.1 * normal(*level.shape)
    tissue = grey + (tissues.white + jitter) * (white - grey)
    ordered = torch.where(tissues.is_tissue, tissue, level)
    ordered = torch.where(tissues.is_fluid, fluid + 0.2 * jitter, ordered)
    level = torch.where(uniform(batch, 1) < ORDERED_SHARE, ordered.clamp(0, 1), level)
    air = torch.where(uniform(batch, 1) < BLACK_AIR_SHARE, 0.0, GREYEST_AIR * level)
    level = torch.where(tissues.is_air, air, level)
    # Skin, muscle or bone are a mixture; a brain's structures are more even.
    in_brain = tissues.is_fluid | tissues.is_tissue
    spread = uniform(batch, tissues.count) * torch.where(in_brain, 0.06, 0.15)
    spread = torch.where(tissues.is_air, 0.0, spread)
    coarse = smooth_field(normal(batch, 1, *(max(2, n // 5) for n in shape)), shape)[:, 0]
    texture = 0.6 * normal(batch, *shape) + coarse
    index = structures.flatten(1).long()
    level, spread = (table[:, tissues.kind].gather(1, index).view_as(texture) for table in (level, spread))
    return (level + spread * texture).clamp(min=0)
