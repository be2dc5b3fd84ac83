"""Images of heads that nobody has scanned, from label maps, drawn on the device a batch at a time.

The idea is SynthSeg's (Billot et al., Medical Image Analysis 86:102789, 2023): a network that sees every
structure in any grey, in any resolution, learns shapes and neighbours instead of a contrast.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from HiDiffRefineLib.training.acquisition import (
    along_axes,
    interpolation_matrix,
    normalised,
    slice_matrix,
    smooth_field,
    with_noise,
)
from HiDiffRefineLib.training.contrast import Tissues, random_greys
from HiDiffRefineLib.training.head_maps import MAP_MM, HeadMap, HeadMaps

# FreeSurfer's number of the fluid around a brain, which strippings take away.
CSF = 24
# Largest turn about any axis in degrees, change of size (all axes, and each), and shear.
TURN, SIZE, STRETCH, SHEAR = 20.0, 0.15, 0.07, 0.02
# Voxels of the grid on which heads are bent and acquired, as a share of the patch's finest.
FINER = 2 / 3
# Knots of the deformation are so many mm apart, and it moves them by up to so many mm (standard deviation).
WARP_KNOTS, WARP = 24.0, 3.5
# Furthest that the middle of a brain lies from the middle of a window, mm along S, A, R.
SHIFT_KJI = (55.0, 40.0, 35.0)
# Slices of images acquired slice by slice, and voxels of those acquired as a volume, in mm.
THICK, THIN = (2.0, 6.0), (1.0, 1.6)
# How far an image reaches from the middle of the brain where it doesn't reach as far as the window, mm.
REACH = (65.0, 140.0)
# Shares of images: acquired slice by slice, cut off somewhere, without skull, upside down in grey.
SLICED_SHARE, CUT_SHARE, STRIPPED_SHARE, INVERTED_SHARE = 0.5, 0.5, 0.35, 0.1
# Full width at half maximum in mm of the smoothing that gives stripped brains a margin.
STRIP_WIDTH = 7.0
# Strongest noise, of a grey scale of 1.
NOISE = 0.12


class HeadSynthesis:
    """Draws images and labels.

    Args:
        maps: their tables.
        heads: those to draw from.
        patch_kji, spacing_kji: of what is drawn, voxels and mm.
        device: where everything stays.
        seed: of everything random.
    """

    def __init__(self, maps: HeadMaps, heads: Sequence[HeadMap], patch_kji, spacing_kji, device, seed: int):
        self.device = device
        self.random = torch.Generator(device).manual_seed(seed)
        self.tissues = Tissues(maps.unsided, device)
        self.shift_kji = torch.tensor(SHIFT_KJI, device=device)
        self.targets = torch.as_tensor(maps.targets, device=device)
        mirrored = torch.as_tensor(maps.mirrored, dtype=torch.uint8, device=device)
        self.sides = torch.stack([torch.arange(len(mirrored), device=device).to(torch.uint8), mirrored])
        shape = np.max([head.structures.shape for head in heads], axis=0) + 1  # a rim of air at least
        stack = np.zeros((len(heads), *shape), np.uint8)
        for room, head in zip(stack, heads, strict=True):
            room[tuple(slice(n) for n in head.structures.shape)] = head.structures
        self.heads = torch.as_tensor(stack, device=device)
        self.centers = torch.as_tensor(
            np.array([head.center_kji for head in heads]), dtype=torch.float32, device=device
        )
        # Everything happens on a finer grid than the patch has: 1 mm for patches of 1.5 mm.
        self.step = FINER * min(spacing_kji)
        self.fine_kji = tuple(int(n) for n in np.ceil(np.multiply(patch_kji, spacing_kji) / self.step))
        self.places = [self.step * torch.arange(n, device=device) for n in self.fine_kji]
        self.samples = [
            torch.as_tensor((np.arange(n) + 0.5) * size - 0.5 * self.step, dtype=torch.float32, device=device)
            for n, size in zip(patch_kji, spacing_kji, strict=True)
        ]
        self.nearest = [
            (at / self.step).round().long().clamp(0, n - 1)
            for at, n in zip(self.samples, self.fine_kji, strict=True)
        ]
        self.is_brain = torch.as_tensor((maps.targets > 0) & (maps.values != CSF), device=device)

    def batches(self, batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Endless draws."""
        while True:
            yield self.draw(batch)

    @torch.no_grad()
    def draw(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images in 0…1 and their labels, both (B, 1, *patch_kji), float32 and int64."""
        shift = self._uniform(-1, 1, batch, 3) * self.shift_kji
        structures = self._deformed(batch, shift)
        grey = random_greys(structures, self.tissues, self.random)
        grey = grey * self._bias(batch)
        image = self._acquired(grey)
        kept = self._stripped(structures)
        k, j, i = self.nearest
        structures, kept = (each[:, k][:, :, j][..., i] for each in (structures, kept))
        reached = self._within_reach(batch, shift)
        image = torch.where(kept & reached, image, 0)
        image = normalised(image, 0.005, self._uniform(0.98, 1.0, batch))
        image = image ** torch.exp(0.25 * self._normal(batch, 1, 1, 1))
        inverted = self._uniform(0, 1, batch, 1, 1, 1) < INVERTED_SHARE
        # A stripped brain may lie in white, but beyond an image everything is black to the network.
        image = torch.where(reached, torch.where(inverted, 1 - image, image), 0)
        labels = torch.where(kept & reached, self.targets[structures.int()], 0)
        return image[:, None], labels[:, None].long()

    def _uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.random, device=self.device)

    def _normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.random, device=self.device)

    def _deformed(self, batch: int, shift: torch.Tensor) -> torch.Tensor:
        """Structures (B, *fine_kji) uint8 of heads turned, stretched, bent and, half of them, mirrored."""
        count, *shape = self.heads.shape
        head = torch.randint(count, (batch,), generator=self.random, device=self.device)
        mirror = torch.randint(2, (batch,), generator=self.random, device=self.device)
        linear = self._linear(batch)
        linear[:, :, 2] *= (1 - 2 * mirror)[:, None]
        knots = [max(3, round(n * self.step / WARP_KNOTS)) for n in self.fine_kji]
        bend = self._normal(batch, 3, *knots) * self._uniform(0, WARP, batch, 1, 1, 1, 1)
        place = smooth_field(bend, self.fine_kji)
        # Windows lie around the brain's middle, shifted: the head moves the other way.
        for axis, at in enumerate(self.places):
            view = [batch, 1, 1, 1, 1]
            view[axis + 2] = -1
            offset = (at - at[-1] / 2 - shift[:, axis : axis + 1]).view(view)
            place += linear[:, :, axis, None, None, None] * offset
        place += self.centers[head][:, :, None, None, None]
        index = torch.zeros_like(place[:, 0], dtype=torch.int64)
        inside = torch.ones_like(index, dtype=torch.bool)
        for axis, size in enumerate(shape):
            voxel = place[:, axis].div_(MAP_MM).round_().long()
            inside &= (voxel >= 0) & (voxel < size)
            index = index * size + voxel.clamp_(0, size - 1)
        index += head[:, None, None, None] * int(np.prod(shape))
        structures = torch.where(inside, self.heads.view(-1)[index], 0)
        sides = self.sides[mirror]  # (B, n)
        return sides.gather(1, structures.flatten(1).long()).view_as(structures)

    def _linear(self, batch: int) -> torch.Tensor:
        """(B, 3, 3) from offsets in the window to offsets in a head, both along S, A, R."""
        linear = torch.eye(3, device=self.device).expand(batch, 3, 3)
        for a, b in ((0, 1), (1, 2), (0, 2)):
            angle = torch.deg2rad(self._uniform(-TURN, TURN, batch))
            turn = torch.eye(3, device=self.device).repeat(batch, 1, 1)
            turn[:, a, a] = turn[:, b, b] = angle.cos()
            turn[:, a, b], turn[:, b, a] = -angle.sin(), angle.sin()
            linear = linear @ turn
        size = self._uniform(-SIZE, SIZE, batch, 1) + self._uniform(-STRETCH, STRETCH, batch, 3)
        sheared = torch.eye(3, device=self.device) + self._uniform(-SHEAR, SHEAR, batch, 3, 3)
        return linear @ sheared * torch.exp(size)[:, None]

    def _bias(self, batch: int) -> torch.Tensor:
        """A smooth factor (B, *fine_kji), as a receiving coil leaves it."""
        strength = self._uniform(0, 0.4, batch, 1, 1, 1, 1)
        knots = smooth_field(strength * self._normal(batch, 1, 4, 4, 4), self.fine_kji)
        return torch.exp(knots[:, 0])

    def _acquired(self, grey: torch.Tensor) -> torch.Tensor:
        """What a scanner makes of it, on the patch: (B, *patch_kji)."""
        batch = len(grey)
        spacing = self._uniform(*THIN, batch, 1).repeat(1, 3)
        across = torch.randint(3, (batch, 1), generator=self.random, device=self.device)
        sliced = self._uniform(0, 1, batch, 1) < SLICED_SHARE
        thick = (torch.arange(3, device=self.device) == across) & sliced
        spacing = torch.where(thick, self._uniform(*THICK, batch, 1), spacing).clamp(min=self.step)
        # Slices may leave gaps or overlap.
        width = spacing * self._uniform(0.7, 1.2, batch, 3)
        start = spacing * self._uniform(0, 0.5, batch, 3)
        axes = list(enumerate(zip(self.places, self.samples, strict=True)))
        down = [slice_matrix(at, spacing[:, n], width[:, n], start[:, n]) for n, (at, _) in axes]
        up = [interpolation_matrix(at, to, spacing[:, n], start[:, n]) for n, (at, to) in axes]
        slices = with_noise(along_axes(grey, down), NOISE * self._uniform(0, 1, batch) ** 2, self.random)
        return along_axes(slices, up)

    def _stripped(self, structures: torch.Tensor) -> torch.Tensor:
        """Which voxels remain (B, *fine_kji): all, or the brain with a random margin."""
        batch = len(structures)
        brain = self.is_brain[structures.int()].float()
        step = torch.full((batch,), self.step, device=self.device)
        width, start = torch.full_like(step, STRIP_WIDTH), torch.zeros_like(step)
        near = along_axes(brain, [slice_matrix(at, step, width, start) for at in self.places])
        kept = near > self._uniform(0.02, 0.5, batch, 1, 1, 1)
        return kept | (self._uniform(0, 1, batch, 1, 1, 1) > STRIPPED_SHARE)

    def _within_reach(self, batch: int, shift: torch.Tensor) -> torch.Tensor:
        """Which voxels of the patch the image reaches to: (B, *patch_kji)."""
        reach = self._uniform(*REACH, batch, 3, 2)
        whole = self._uniform(0, 1, batch, 1, 1) > CUT_SHARE
        reach = torch.where(whole, torch.inf, reach)
        inside = torch.ones(batch, 1, 1, 1, dtype=torch.bool, device=self.device)
        for axis, (at, to) in enumerate(zip(self.places, self.samples, strict=True)):
            away = to - at[-1] / 2 - shift[:, axis : axis + 1]
            along = (away > -reach[:, axis, :1]) & (away < reach[:, axis, 1:])
            view = [batch, 1, 1, 1]
            view[axis + 1] = -1
            inside = inside & along.view(view)
        return inside
