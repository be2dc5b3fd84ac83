"""Segmentation patches drawn and augmented on the training device, a batch at a time.

Worker processes draw some ten patches a second each; a small network asks for hundreds. Where the volumes fit
on the device, sampling and augmenting there costs it a few per cent, and nothing ever waits for the host:
the host decides where patches lie, the device does the rest.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.training.patches import SegmentationPatches


class DevicePatches(SegmentationPatches):
    """As `SegmentationPatches`, with all volumes on a device.

    Args:
        device: where. Others: see there.
    """

    def __init__(self, cases, patch_kji, spacing_kji, mirror: bool, seed: int, device: torch.device):
        super().__init__(cases, patch_kji, spacing_kji, mirror, seed)
        self.device = device
        self.volumes = [torch.cat([case.image, case.labels]).to(device) for case in self.cases]
        self.affines = [case.ijk_to_ras for case in self.cases]
        self.cases = [None] * len(self.volumes)  # the host's copies would only take room
        self.generator = torch.Generator(device).manual_seed(seed)

    def batches(self, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Endless batches: images (B, 1, k, j, i) in 0…1 and labels (B, 1, k, j, i), float32."""
        while True:
            image, labels = self._sampled([self.place() for _ in range(size)])
            yield augmented(image, self.generator), labels

    def _sampled(self, places: list[tuple[int, Grid, str]]) -> tuple[torch.Tensor, torch.Tensor]:
        """What lies at each of `places`: `resample` for a batch, with one transfer to the device."""
        sizes = [np.maximum(np.array(self.volumes[n].shape[:0:-1], float), 2) for n, _, _ in places]
        matrices, edges = [], []
        for (number, grid, _), size in zip(places, sizes, strict=True):
            matrix = np.diag([*(2 / (size - 1)), 1.0]) @ np.linalg.inv(self.affines[number]) @ grid.ijk_to_ras
            matrix[:3, 3] -= 1
            matrices.append(np.c_[matrix[:3], size / (size - 1)])
        table = torch.from_numpy(np.stack(matrices).astype(np.float32))
        if self.device.type == "cuda":
            table = table.pin_memory()
        table = table.to(self.device, non_blocking=True)[:, :, :, None, None, None]
        k, j, i = (torch.arange(n, dtype=torch.float32, device=self.device) for n in self.patch_kji)
        at = table[:, :, 0] * i + table[:, :, 1] * j[:, None] + table[:, :, 2] * k[:, None, None]
        at, edges = at + table[:, :, 3], table[:, :, 4]
        images, labels = [], []
        for n, (number, _, outside) in enumerate(places):
            volume, points = self.volumes[number][None], at[n]
            if outside == "zeros":
                points = torch.where(points.abs() <= edges[n], points.clamp(-1, 1), points)
            points = points.movedim(0, -1)[None]
            images.append(_sample(volume[:, :1], points, "bilinear", outside))
            labels.append(_sample(volume[:, 1:], points, "nearest", outside))
        return torch.cat(images), torch.cat(labels)


def _sample(volume: torch.Tensor, points: torch.Tensor, mode: str, outside: str) -> torch.Tensor:
    return F.grid_sample(volume, points, mode=mode, padding_mode=outside, align_corners=True)


def augmented(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Images (B, 1, k, j, i) in 0…1 after lost resolution, contrast, brightness, gamma and noise.

    Each happens to some of the batch, as in `intensity_augmentation`. Nothing here waits for the device.
    """

    def draw(low: float, high: float, share: float) -> torch.Tensor:
        """(B, 1, 1, 1, 1) even in low…high for a share of the samples, 0 for the others."""
        shape = (len(image), 1, 1, 1, 1)
        value, chosen = (torch.rand(shape, generator=generator, device=image.device) for _ in range(2))
        return (low + (high - low) * value) * (chosen < share)

    blurred = F.avg_pool3d(image, [min(2, n) for n in image.shape[2:]])
    blurred = F.interpolate(blurred, size=image.shape[2:], mode="trilinear", align_corners=False)
    image = torch.lerp(image, blurred, draw(0.3, 1, 0.2))
    middle = image.mean((2, 3, 4), keepdim=True)
    image = (image - middle) * (1 + draw(-0.25, 0.25, 0.4)) + middle + draw(-0.1, 0.1, 0.4)
    image = image.clamp(1e-4, 1) ** torch.exp(draw(-0.4, 0.4, 0.4))
    noise = torch.randn(image.shape, generator=generator, device=image.device)
    return (image + noise * draw(0.0, 0.06, 0.3)).clamp(0, 1)
