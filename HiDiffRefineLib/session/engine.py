"""What edits need of the volume and of its models: made once, when first needed."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.compose import compose, label_probability
from HiDiffRefineLib.inference.intensity import intensity_range, scale
from HiDiffRefineLib.inference.pipeline import Pipeline, Scan
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.session.blocks import difference
from HiDiffRefineLib.session.state import NewSegment
from HiDiffRefineLib.volumes.volume import Volume


@dataclass(eq=False)
class Engine:
    """A volume in front of a pipeline."""

    volume: Volume
    pipeline: Pipeline

    @cached_property
    def grid(self) -> Grid:
        """The volume's."""
        return Grid(self.volume.array.shape, self.volume.ijk_to_ras)

    @cached_property
    def image(self) -> torch.Tensor:
        """(1, k, j, i) float32 in 0…1 on the device, by the bundle's rule."""
        array = self.volume.array
        low, high = intensity_range(array, self.pipeline.bundle.settings["intensity"])
        return torch.from_numpy(scale(array, low, high))[None].to(self.pipeline.device)

    @cached_property
    def prior(self) -> Prior:
        """The segmentor's class probabilities.

        Raises:
            VolumeError: another modality than the bundle's, or a volume larger than it was made for.
        """
        bounds_ras = self.pipeline.bounds_ras(self.volume)
        return self.pipeline.prior(Scan(self.image, self.grid, bounds_ras))

    def segments(self) -> list[NewSegment]:
        """The segmentor's mask of each label, empty ones included; no voxel is in two of them.

        Raises:
            VolumeError: as for `prior`.
            ConfigError, BundleError: a bundle that is no segmentor, or weights missing or damaged.
        """
        self.pipeline.check(None, ["segmentor"])
        labels = self.pipeline.bundle.labels
        maps = [label_probability(self.prior, label.value, self.grid) for label in labels]
        labelmap = compose(maps, self.grid.shape_kji)
        nothing = np.zeros(labelmap.shape, bool)
        masks = [difference(nothing, labelmap == label.value) for label in labels]
        return [
            NewSegment(label.name, label.value, label.value, mask)
            for label, mask in zip(labels, masks, strict=True)
        ]
