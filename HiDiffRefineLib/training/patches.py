"""Patches drawn from cases by worker processes, resampled and augmented in one step."""

from abc import abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from monai import transforms as mt
from monai.utils import convert_to_tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.training.cases import Case

# Share of patches centred on a voxel of a label chosen evenly among the labels, so that an adrenal gland
# is seen as often as a liver; the rest fall anywhere.
FOREGROUND_SHARE = 0.7
# Share of patches in which a volume goes on beyond its border as its mirror image, where sides don't matter.
REFLECTED_SHARE = 0.4
VOXELS_KEPT_PER_LABEL = 2000
# Between the seeds of a run's workers; larger than the number of runs anyone seeds one after another.
WORKER_SEED_STRIDE = 100_003


class LoadedCase:
    """A case as tensors.

    Attributes:
        image: (1, k, j, i) float32 0…1. labels: (1, k, j, i) float32.
        ijk_to_ras: 4×4 float64 of both.
    """

    def __init__(self, case: Case):
        self.ijk_to_ras = case.ijk_to_ras
        self.image = torch.from_numpy(case.image)[None].float() / 255
        self.labels = torch.from_numpy(case.labels)[None].float()


def label_places(case: Case, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Label value → (n, 3) RAS mm of some of its voxels."""
    places = {}
    for value in np.unique(case.labels)[1:]:
        kji = np.argwhere(case.labels == value)
        kji = kji[rng.choice(len(kji), min(len(kji), VOXELS_KEPT_PER_LABEL), replace=False)]
        ijk = np.c_[kji[:, ::-1], np.ones(len(kji))]
        places[int(value)] = (ijk @ case.ijk_to_ras.T)[:, :3]
    return places


def random_linear(rng: np.random.Generator, mirror: bool) -> np.ndarray:
    """A random 3×3 in RAS: rotation (to 20° about S, 10° about R and A), scale ×0.75…1.33, 5 % per axis.

    With `mirror`, left and right are exchanged in half of the cases.
    """
    angles = np.radians(rng.uniform(-1, 1, 3) * [10, 10, 20]) * (rng.random() < 0.7)
    linear = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        linear = linear @ turn
    scale = np.exp(rng.uniform(-0.29, 0.29) * (rng.random() < 0.7) + rng.uniform(-0.05, 0.05, 3))
    scale[0] *= -1 if mirror and rng.random() < 0.5 else 1
    return linear * scale


def random_warp(rng: np.random.Generator, shape_kji, spacing_kji) -> torch.Tensor:
    """A smooth random displacement (*shape_kji, 3) in RAS mm: up to some 4 voxels, knots 16 voxels apart."""
    knots = [max(2, round(n / 16)) for n in shape_kji]
    field = rng.normal(size=(3, *knots)) * (
        rng.uniform(0, 2) * np.asarray(spacing_kji)[::-1, None, None, None]
    )
    field = F.interpolate(
        torch.from_numpy(field.astype(np.float32))[None],
        tuple(shape_kji),
        mode="trilinear",
        align_corners=True,
    )
    return field[0].permute(1, 2, 3, 0)


def intensity_augmentation(seed: int, any_contrast: bool = False) -> Callable[[torch.Tensor], torch.Tensor]:
    """Blur, brightness, contrast, gamma, lost resolution and noise, on a (1, k, j, i) image in 0…1.

    Args:
        any_contrast: also bend the grey scale and turn it upside down, for images of any modality.
    """
    other_modality = [
        mt.RandHistogramShift(num_control_points=(4, 10), prob=0.3),
        mt.RandLambda(lambda image: 1 - image, prob=0.2),
    ]
    augment = mt.Compose(
        [
            *(other_modality if any_contrast else []),
            mt.RandGaussianSmooth(sigma_x=(0.3, 1), sigma_y=(0.3, 1), sigma_z=(0.3, 1), prob=0.15),
            mt.RandScaleIntensity(factors=0.25, prob=0.3),
            mt.RandShiftIntensity(offsets=0.1, prob=0.3),
            mt.RandAdjustContrast(prob=0.3, gamma=(0.7, 1.5)),
            mt.RandSimulateLowResolution(prob=0.15, zoom_range=(0.5, 1.0)),
            mt.RandGaussianNoise(std=0.05, prob=0.15),
        ]
    ).set_random_state(seed)
    return lambda image: convert_to_tensor(augment(image), track_meta=False).clamp(0, 1)


class Patches(IterableDataset):
    """Endless samples; every worker draws its own."""

    any_contrast = False

    def __init__(self, seed: int):
        self.seed = seed
        self._reseed(seed)

    def _reseed(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.augment = intensity_augmentation(seed, self.any_contrast)

    @abstractmethod
    def draw(self) -> tuple[torch.Tensor, ...]:
        """One sample."""

    def __iter__(self):
        if worker := get_worker_info():
            self._reseed(self.seed + WORKER_SEED_STRIDE * (worker.id + 1))
        while True:
            yield self.draw()


def batches(patches: Patches, batch: int, workers: int, device: torch.device) -> Iterator[list[torch.Tensor]]:
    """Endless batches on a device.

    Args:
        batch: samples a batch. workers: processes that draw them; 0 draws them in this one.
    """
    on_gpu = device.type == "cuda"
    for parts in DataLoader(patches, batch, num_workers=workers, pin_memory=on_gpu):
        yield [part.to(device, non_blocking=True) for part in parts]


class SegmentationPatches(Patches):
    """Patches for a segmentor.

    Args:
        cases: packed cases.
        patch_kji, spacing_kji: of the patches, voxels and mm.
        mirror: whether left and right may be exchanged; not where a label is a side's own.
        seed: of everything random.
    """

    def __init__(self, cases, patch_kji, spacing_kji, mirror: bool, seed: int):
        super().__init__(seed)
        self.patch_kji, self.spacing_kji = tuple(patch_kji), np.array(spacing_kji)
        self.mirror = mirror
        self.cases = [LoadedCase(case) for case in cases]
        self.places = [label_places(case, self.rng) for case in cases]
        self.bounds = [Grid(case.labels.shape, case.ijk_to_ras).bounds_ras() for case in cases]

    def place(self) -> tuple[int, Grid, str]:
        """Where a patch lies: the case's number, the grid, and what is beyond the volume's border."""
        number = int(self.rng.integers(len(self.cases)))
        linear = random_linear(self.rng, self.mirror)
        grid = centered_grid(self._center(number), self.patch_kji, self.spacing_kji, linear)
        # Black beyond the border tells where in a crop one is; a whole head shows anatomy there.
        outside = "reflection" if self.mirror and self.rng.random() < REFLECTED_SHARE else "zeros"
        return number, grid, outside

    def draw(self) -> tuple[torch.Tensor, torch.Tensor]:
        """One augmented image (1, k, j, i) in 0…1 and its labels (1, k, j, i), float32."""
        number, grid, outside = self.place()
        case = self.cases[number]
        image = resample(case.image, case.ijk_to_ras, grid, outside=outside)
        labels = resample(case.labels, case.ijk_to_ras, grid, mode="nearest", outside=outside)
        return self.augment(image), labels

    def _center(self, number: int) -> np.ndarray:
        extent_ras = (np.array(self.patch_kji) * self.spacing_kji)[::-1]
        if self.places[number] and self.rng.random() < FOREGROUND_SHARE:
            places = self.places[number][self.rng.choice(list(self.places[number]))]
            return places[self.rng.integers(len(places))] + self.rng.uniform(-0.25, 0.25, 3) * extent_ras
        low, high = self.bounds[number]
        # Centres keep the patch inside where the volume is larger than it.
        room = np.minimum(extent_ras / 2, (high - low) / 2)
        return self.rng.uniform(low + room, high - room)
