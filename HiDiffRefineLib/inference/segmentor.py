"""The prior: a segmentor swept over a volume on its working grid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch

from HiDiffRefineLib.errors import is_memory_full
from HiDiffRefineLib.geometry.boxes import part_of, voxel_box
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.inference.memory import window_batch
from HiDiffRefineLib.inference.models import autocast
from HiDiffRefineLib.volumes.labels import Label

# Half-overlapping windows: Dice .003 better than a quarter on BTCV, at twice the time.
OVERLAP = 0.5
# A window of nothing but air has no contrast; normalised inside a network it would turn into invented organs.
FLAT = 1e-3
FLAT_LOGIT = 10.0
# What names of labels of one side begin with, and those of the other.
OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Sweeping:
    """How windows follow each other over a region.

    Args:
        overlap: share of a window that its neighbour sees too.
        blend: weight of a window's voxels, "gaussian" or "constant".
        padding: of a region smaller than a window, as torch names it.
        as_trained: every window, in float32, for networks that others trained; if not, windows of nothing
            but air are left out, and the device may compute in bfloat16.
    """

    overlap: float = OVERLAP
    blend: str = "gaussian"
    padding: str = "constant"
    as_trained: bool = False


OUR_SWEEPING = Sweeping()


@dataclass(frozen=True)
class Prior:
    """Class probabilities on a working grid.

    Args:
        probabilities: (labels, k, j, i) float16, background first, summing to 1.
        grid: where they are.
    """

    probabilities: torch.Tensor
    grid: Grid

    def resampled(self, label: int, target: Grid, warp_ras: torch.Tensor | None = None) -> torch.Tensor:
        """Probability of one label, float32 (1, *target.shape_kji); zero outside the working grid.

        warp_ras as for `resample`.
        """
        shown = self if warp_ras is not None else self._shown_on(target)
        probability = shown.probabilities[label : label + 1].float()
        # Interpolation weights add up to 1 + 2e-7, which the chain would refuse as no probability.
        return resample(probability, shown.grid.ijk_to_ras, target, warp_ras=warp_ras).clamp(0, 1)

    def others_resampled(
        self, label: int, target: Grid, warp_ras: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Probability of any other label but background, as `resampled`."""
        shown = self if warp_ras is not None else self._shown_on(target)
        others = 1 - shown.probabilities[:1].float() - shown.probabilities[label : label + 1].float()
        return resample(others.clamp(0, 1), shown.grid.ijk_to_ras, target, warp_ras=warp_ras).clamp(0, 1)

    def _shown_on(self, target: Grid) -> "Prior":
        """The part that a target can see: float copies of all would cost what the volume costs."""
        box = voxel_box(self.grid, target.bounds_ras())
        # Two voxels more, so that interpolation never takes the part's border for the prior's.
        sizes = self.grid.shape_kji
        box = tuple(slice(max(s.start - 2, 0), min(s.stop + 2, n)) for s, n in zip(box, sizes, strict=True))
        return Prior(self.probabilities[(slice(None), *box)], part_of(self.grid, box))


@dataclass(frozen=True)
class Mirrored:
    """The mean of a network's answers to a window and to its mirror image.

    Args:
        network: as for `run_segmentor`; the last axis of its windows runs from left to right.
        counterparts: of `counterparts_of`.
    """

    network: torch.nn.Module
    counterparts: Sequence[int]

    def __call__(self, window: torch.Tensor) -> torch.Tensor:
        mirrored = self.network(window.flip(-1)).flip(-1)
        return (self.network(window) + mirrored[:, self.counterparts]) / 2


def counterparts_of(labels: Sequence[Label]) -> list[int]:
    """The value on the other side of every value, background first; itself where there is no other."""
    values = {label.name: label.value for label in labels}
    result = list(range(len(labels) + 1))
    for name, value in values.items():
        side, _, what = name.partition(" ")
        result[value] = values.get(f"{OTHER_SIDE.get(side)} {what}", value)
    return result


def prior_of_labels(
    labelmap: np.ndarray, grid: Grid, count: int, device: torch.device | str = "cpu"
) -> Prior:
    """A labelmap (k, j, i) of values below `count` as a prior that is sure of itself."""
    # The labelmap travels, not its probabilities, which are twice as many bytes for each label.
    values = torch.from_numpy(labelmap.astype(np.uint8)).to(device)
    probabilities = torch.stack([values == value for value in range(count)]).half()
    return Prior(probabilities, grid)


@torch.inference_mode()
def run_segmentor(
    network: torch.nn.Module,
    image: torch.Tensor,
    ijk_to_ras: np.ndarray,
    grid: Grid,
    patch_kji,
    labels: int,
    progress: Callable[[float], None] = lambda share: None,
) -> Prior:
    """Class probabilities of a whole region.

    Args:
        network: (B, 1, k, j, i) → logits (B, labels, k, j, i), on the image's device.
        image: (1, k, j, i) float32 in 0…1, normalised.
        ijk_to_ras: of the image.
        grid: the working grid to predict on.
        patch_kji: window size in voxels.
        labels: what the network tells apart, background included.
        progress: called with the share of windows done.
    """
    windows = resample(image, ijk_to_ras, grid)
    return Prior(softmax(sweep(network, windows, patch_kji, flat_logits(labels), progress)), grid)


def flat_logits(labels: int) -> list[float]:
    """Logits of background in a window of nothing but air."""
    return [FLAT_LOGIT] + [-FLAT_LOGIT] * (labels - 1)


def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Probabilities float16 of logits (labels, k, j, i)."""
    probabilities = torch.empty_like(logits, dtype=torch.float16)
    for k in range(logits.shape[1]):  # slice by slice: a second float32 copy could be gigabytes
        probabilities[:, k] = torch.softmax(logits[:, k], dim=0)
    return probabilities


@torch.inference_mode()
def sweep(
    network: Callable[[torch.Tensor], torch.Tensor],
    image: torch.Tensor,
    patch_kji,
    flat: Sequence[float],
    progress: Callable[[float], None] = lambda share: None,
    how: Sweeping = OUR_SWEEPING,
) -> torch.Tensor:
    """What a network says of a region, window by window, blended.

    Args:
        network: (B, C, k, j, i) → (B, len(flat), k, j, i), on the image's device.
        image: (C, k, j, i) float32 on the working grid; its first channel in 0…1, unless as trained.
        patch_kji: window size in voxels.
        flat: what to say of a window of nothing but air.
        progress: called with the share of windows done.
        how: windows follow each other.

    Returns:
        float32 (len(flat), k, j, i).
    """
    from monai.inferers import sliding_window_inference  # longer to import than torch; edits don't need it

    device, shape_kji = image.device, image.shape[1:]
    done = 0

    def predict(batch: torch.Tensor) -> torch.Tensor:
        nonlocal done
        if how.as_trained:
            with torch.autocast(device.type, enabled=False):
                found = network(batch)
        else:
            found = batch.new_tensor(flat).view(1, -1, 1, 1, 1).repeat(len(batch), 1, *batch.shape[2:])
            shows = batch[:, 0].flatten(1).std(1) > FLAT
            if shows.any():
                with autocast(device):
                    seen = batch[shows].contiguous(memory_format=torch.channels_last_3d)
                    found[shows] = network(seen).float()
        done += len(batch)
        progress(done / count)
        return found

    count = _window_count(shape_kji, patch_kji, how.overlap)
    batch = window_batch(device, shape_kji, patch_kji, len(flat))
    while True:
        try:
            return sliding_window_inference(
                image[None],
                roi_size=tuple(patch_kji),
                sw_batch_size=batch,
                predictor=predict,
                overlap=how.overlap,
                mode=how.blend,
                padding_mode=how.padding,
            )[0]
        except Exception as error:
            # Another program may have taken what was free a moment ago.
            if batch == 1 or not is_memory_full(error):
                raise
            torch.cuda.empty_cache()
            batch, done = 1, 0


def _window_count(shape_kji, patch_kji, overlap: float) -> int:
    windows = 1
    for size, patch in zip(shape_kji, patch_kji, strict=True):
        # MONAI moves its windows by whole voxels, rounded down.
        windows *= ceil(max(size - patch, 0) / max(int(patch * (1 - overlap)), 1)) + 1
    return windows
