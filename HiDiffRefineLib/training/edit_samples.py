"""What the refiner learns from: regions at every zoom, targets of every size, masks as they are brought.

The host decides where regions lie and what each shows; the device does the rest, a batch at a time.
"""

from dataclasses import dataclass

import numpy as np
import torch

from HiDiffRefineLib.geometry.boxes import Box, part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.inference.regions import CONTEXT_KJI, WIDEST, ZOOM, zoom_values
from HiDiffRefineLib.training import appearance
from HiDiffRefineLib.training.device_volumes import DeviceVolume, sampled, unit_coordinates, unit_matrix
from HiDiffRefineLib.training.patches import random_linear
from HiDiffRefineLib.training.targets import corrupted, draw_lesions, grown, noise_scene, partly_right

# Kinds of targets: a label, labels of which a piece is to be added or taken away, tissue that hangs together,
# lesions drawn into the image, bright spots in noise.
KINDS, KIND_SHARES = ("label", "piece", "tissue", "lesions", "noise"), (0.58, 0.08, 0.15, 0.15, 0.04)
# Share of label targets that are two labels in one.
UNION_SHARE = 0.12
# Share of regions that lie as an edit of a mask's would; the others at any zoom, whatever the target's size.
AS_EDITED_SHARE = 0.45
# Region spacing over the working spacing, drawn evenly in its logarithm.
ZOOMS = (0.25, 4.0)
# A label is not looked at from so far that fewer voxels than this are left.
FEWEST_SHOWN = 30
# Shares of priors: empty, exactly right; the others are wrong, out of fold where there are such.
EMPTY_SHARE, RIGHT_SHARE, OUT_OF_FOLD_SHARE = 0.3, 0.06, 0.75
# Share of out-of-fold priors that are corrupted further, and of samples that know of no other segment.
FURTHER_SHARE, ALONE_SHARE = 0.15, 0.35
# Share of out-of-fold priors that are right in places, as a better segmentor's: a refiner that only met large
# errors takes away too much of a mask with small ones.
REPAIRED_SHARE = 0.5
# Share of batches in which some images have thick slices, and how many are then one.
THICK_SHARE, THICK = 0.3, (2, 3, 4)
# A label is drawn with a weight of this and its prior's error.
SURE_WEIGHT = 0.4
# Smooth displacements: share of samples, standard deviation and most in voxels, voxels between knots.
WARPED_SHARE, WARP, WARP_MOST, WARP_KNOTS = 0.5, 2.0, 8.0, (12, 24, 24)


@dataclass(frozen=True)
class Samples:
    """A batch.

    Args:
        image, prior, others, truth: (B, 1, k, j, i) float32; truth of 0. and 1.
        zoom: (B, 3), see `inference.regions.zoom_values`.
    """

    image: torch.Tensor
    prior: torch.Tensor
    others: torch.Tensor
    truth: torch.Tensor
    zoom: torch.Tensor


class EditSamples:
    """Draws batches.

    Args:
        sets: lists of volumes. weights: how often each set is drawn.
        patch_kji: of the refiner. device: where the volumes are.
        seed: of everything random.
    """

    def __init__(self, sets: list[list[DeviceVolume]], weights, patch_kji, device: torch.device, seed: int):
        self.sets, self.device, self.patch_kji = sets, device, tuple(patch_kji)
        self.shares = np.asarray(weights) / np.sum(weights)
        self.rng = np.random.default_rng(seed)
        k, j, i = torch.meshgrid(
            *(torch.arange(n, device=device, dtype=torch.float32) for n in patch_kji), indexing="ij"
        )
        self.index = torch.stack([i, j, k])[None]

    @torch.no_grad()
    def batch(self, size: int) -> Samples:
        """A batch of samples."""
        rng = self.rng
        places = [self._place() for _ in range(size)]
        index = self.index.expand(size, -1, -1, -1, -1)
        bend = appearance.smooth_noise(index, WARP_KNOTS, 3) * appearance.uniform(
            index, 0, WARP, WARPED_SHARE
        )
        image, truth, others, prior, known = self._shown(places, index + bend.clamp(-WARP_MOST, WARP_MOST))
        spacings = [region.spacing_kji for *_, region in places]
        zoom = np.stack([zoom_values(s, v.spacing_kji) for (v, *_), s in zip(places, spacings, strict=True)])
        image, zoom = self._thick(appearance.augmented(image, rng), zoom)
        kinds = rng.choice(KINDS, size, p=KIND_SHARES)
        flat = torch.tensor([s[0] / s[1] for s in spacings], dtype=torch.float32, device=self.device)
        zoom = torch.from_numpy(zoom).to(self.device)
        return Samples(*self._targets(kinds, flat, image, truth, others, prior, known), zoom)

    def _place(self) -> tuple[DeviceVolume, tuple[int, ...], Grid]:
        """A volume, the labels that make its target, and the region."""
        rng = self.rng
        volumes = self.sets[rng.choice(len(self.sets), p=self.shares)]
        volume = volumes[rng.integers(len(volumes))]
        names = list(volume.places)
        weights = np.array([SURE_WEIGHT + volume.errors[label] for label in names])
        label = names[rng.choice(len(names), p=weights / weights.sum())]
        labels = (label, names[rng.integers(len(names))]) if rng.random() < UNION_SHARE else (label,)
        finest = ZOOM * volume.working_kji
        bounds = volume.bounds[label]
        room = np.array(self.patch_kji) - 2 * np.array(CONTEXT_KJI)
        whole = np.maximum(finest, (bounds[1] - bounds[0])[::-1] / room)
        place = volume.places[label][rng.integers(len(volume.places[label]))]
        if rng.random() >= AS_EDITED_SHARE:
            farthest = (volume.sizes[label] / FEWEST_SHOWN / np.prod(volume.working_kji)) ** (1 / 3)
            zoom = np.exp(rng.uniform(*np.log(ZOOMS)))
            spacing = volume.working_kji * max(min(zoom, farthest), ZOOMS[0])
            center = place + rng.uniform(-12, 12, 3) * spacing[::-1]
        elif (whole <= WIDEST * finest + 1e-9).all():
            spacing, center = whole, bounds.mean(0) + rng.uniform(-6, 6, 3) * whole[::-1]
        else:
            spacing = WIDEST * finest
            center = place + rng.uniform(-10, 10, 3) * spacing[::-1]
        return volume, labels, centered_grid(center, self.patch_kji, spacing, random_linear(rng, mirror=True))

    def _shown(self, places, index):
        """Image, truth, others, prior (B, 1, k, j, i) and which of the priors are out of fold."""
        shown, matrices = [], []
        for volume, labels, region in places:
            box, to_ras = _around(volume.labels.shape, volume.ijk_to_ras, region)
            found = volume.labels[box]
            target = (found == labels[0]) | (found == labels[-1])
            image = painted(found, self.rng) if volume.image is None else volume.image[(slice(None), *box)]
            shown.append(torch.cat([image, target[None].float(), ((found > 0) & ~target)[None].float()]))
            matrices.append(unit_matrix(found.shape, to_ras, region.ijk_to_ras))
        image, truth, others = sampled(shown, unit_coordinates(index, matrices)).split(1, dim=1)
        truth = (truth > 0.5).float()
        others = ((others > 0.5).float() - truth).clamp(0, 1)
        known = [v.prior is not None and self.rng.random() < OUT_OF_FOLD_SHARE for v, *_ in places]
        prior = truth.clone()
        chosen = [n for n, yes in enumerate(known) if yes]
        if chosen:
            tables, matrices = [], []
            for volume, labels, region in (places[n] for n in chosen):
                box, to_ras = _around(volume.prior.shape[1:], volume.prior_to_ras, region)
                table = volume.prior[(slice(None), *box)].float()
                own = table[[label - 1 for label in labels]].sum(0)
                tables.append((torch.stack([own, table.sum(0) - own]) / 255).clamp(0, 1))
                matrices.append(unit_matrix(own.shape, to_ras, region.ijk_to_ras))
            found = sampled(tables, unit_coordinates(index[chosen], matrices))
            prior[chosen], others[chosen] = found[:, :1], found[:, 1:]
        return image, truth, others, prior, known

    def _thick(self, image: torch.Tensor, zoom: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """Some images as if acquired in thick slices, and what becomes of their zoom."""
        if self.rng.random() >= THICK_SHARE:
            return image, zoom
        count = int(self.rng.choice(THICK))
        chosen = np.flatnonzero(self.rng.random(len(zoom)) < 0.4)
        image, zoom = image.clone(), zoom.copy()
        if len(chosen):
            image[chosen] = appearance.thick_slices(image[chosen], count)
            zoom[chosen, 1] = np.minimum(zoom[chosen, 1], 0) - 0.5 * np.log2(count)
        return image, zoom

    def _targets(self, kinds, flat, image, truth, others, prior, known):
        """Image, prior, others and truth after lesions were drawn, pieces chosen and priors spoilt."""
        rng = self.rng
        drawn = np.flatnonzero((kinds == "lesions") | (kinds == "noise"))
        if len(drawn):
            noise = np.flatnonzero(kinds == "noise")
            if len(noise):
                image[noise] = noise_scene(image[noise])
                others[noise] = 0
            image[drawn], truth[drawn], prior[drawn] = draw_lesions(
                image[drawn], flat[drawn], rng, torch.tensor(kinds[drawn] == "noise", device=self.device)
            )
        hanging = np.flatnonzero((kinds == "tissue") | (kinds == "piece"))
        if len(hanging):
            tissue, found = grown(image[hanging], flat[hanging], rng)
            piece = torch.tensor(kinds[hanging] == "piece", device=self.device).view(-1, 1, 1, 1, 1)
            own = truth[hanging]
            added = torch.rand(len(hanging), 1, 1, 1, 1, device=self.device) < 0.5
            changed = torch.where(added, torch.maximum(own, tissue), own * (1 - tissue))
            truth[hanging] = torch.where(found, torch.where(piece, changed, tissue), own)
            # The piece is what is wrong with the mask.
            prior[hanging] = torch.where(found & piece, own, truth[hanging])
        share = rng.random(len(kinds))
        empty = share < EMPTY_SHARE
        right = ~empty & (share < EMPTY_SHARE + RIGHT_SHARE)
        ready = np.isin(kinds, ("lesions", "noise", "piece")) | (np.array(known) & (kinds == "label"))
        wrong = np.flatnonzero(~empty & ~right & (~ready | (rng.random(len(kinds)) < FURTHER_SHARE)))
        if len(wrong):
            prior[wrong] = corrupted(prior[wrong], rng)
        repaired = np.flatnonzero(ready & (kinds == "label") & (rng.random(len(kinds)) < REPAIRED_SHARE))
        if len(repaired):
            prior[repaired] = partly_right(prior[repaired], truth[repaired])
        if right.any():
            prior[np.flatnonzero(right)] = truth[np.flatnonzero(right)]
        if empty.any():
            prior[np.flatnonzero(empty)] = 0
        alone = np.flatnonzero((rng.random(len(kinds)) < ALONE_SHARE) | (kinds == "tissue"))
        if len(alone):
            others[alone] = 0
        return image, prior, others, truth


def _around(shape_kji, ijk_to_ras: np.ndarray, region: Grid) -> tuple[Box, np.ndarray]:
    """The voxels of a volume that a region can show, two at least along each axis, and their affine."""
    margin = WARP_MOST * np.abs(region.ijk_to_ras[:3, :3]).sum(1)
    low, high = region.bounds_ras()
    box = voxel_box(Grid(tuple(shape_kji), ijk_to_ras), np.stack([low - margin, high + margin]))
    box = tuple(
        slice(max(min(s.start, n - 2), 0), max(s.stop, min(s.start + 2, n)))
        for s, n in zip(box, shape_kji, strict=True)
    )
    return box, part_of(Grid(tuple(shape_kji), ijk_to_ras), box).ijk_to_ras


def painted(labels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """An image (1, k, j, i) of a label map, as SynthSeg's: every label in a grey of its own, with texture."""
    level = torch.rand(256, device=labels.device)
    if rng.random() < 0.7:
        level[0] = 0
    index = labels.int()
    spread = torch.rand(256, device=labels.device) * 0.08
    image = level[index] + spread[index] * torch.randn(labels.shape, device=labels.device)
    return appearance.blurred(image[None, None], rng.uniform(0.3, 1.0, 3))[0].clamp(0, 1)
