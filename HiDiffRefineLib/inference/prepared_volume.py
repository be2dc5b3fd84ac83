"""A volume and its models on one device: what edits find there, made once, when first needed."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from HiDiffRefineLib.geometry.boxes import part_of
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.intensity import scale
from HiDiffRefineLib.inference.messages import Progress
from HiDiffRefineLib.inference.pipeline import Pipeline, Scan
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.volumes.volume import Volume


class PriorCache:
    """Keeps class probabilities beyond the life of what computed them; this one keeps none."""

    def load(self, roi: RegionOfInterest | None, shape: tuple) -> np.ndarray | None:
        """float16 of a shape, as it was saved; None if it was not."""

    def save(self, roi: RegionOfInterest | None, probabilities: np.ndarray) -> None:
        """Keeps float16 (labels, k, j, i)."""


@dataclass(eq=False)
class PreparedVolume:
    """A volume in front of a pipeline; `notify`: see `Pipeline.prior`."""

    volume: Volume
    pipeline: Pipeline
    kept: PriorCache
    notify: Callable[[str], None] = lambda text: None
    _shown: dict = field(default_factory=dict, repr=False)
    _images: dict = field(default_factory=dict, repr=False)
    _priors: dict = field(default_factory=dict, repr=False)

    @property
    def grid(self) -> Grid:
        """The volume's."""
        return Grid(self.volume.array.shape, self.volume.ijk_to_ras)

    def image(self, roi: RegionOfInterest | None = None) -> torch.Tensor:
        """(1, k, j, i) float32 in 0…1 of the whole volume, by the bundle's rule as it applies to a region."""
        if roi not in self._shown:
            self._shown[roi] = self.pipeline.shown_range(self.volume, roi)
        shown = self._shown[roi]
        if shown not in self._images:
            image = torch.from_numpy(scale(self.volume.array, *shown))[None]
            self._images[shown] = image.to(self.pipeline.device)
        return self._images[shown]

    def scan(self, roi: RegionOfInterest | None = None) -> Scan:
        """What the segmentor sees, as `Pipeline.scan` gives it.

        Raises:
            VolumeError: another modality than the bundle's, a region too large for it or outside the volume.
        """
        bounds_ras, grid, image = self.pipeline.bounds_ras(self.volume, roi), self.grid, self.image(roi)
        array = self.volume.array
        if roi is not None:
            box = roi.box(grid)
            grid, image, array = part_of(grid, box), image[(slice(None), *box)], array[box]
        prepared = self.pipeline.preparation(array, grid, *self._shown[roi])
        return Scan(image, grid, bounds_ras, prepared)

    def prior(
        self, roi: RegionOfInterest | None = None, progress: Progress = lambda share, what: None
    ) -> Prior:
        """The pipeline's class probabilities on the volume or on a region of interest.

        Raises:
            VolumeError: as for `scan`.
            ConfigError, BundleError: a bundle that is no segmentor, or weights missing or damaged.
        """
        if roi not in self._priors:
            scan = self.scan(roi)
            grid = self.pipeline.working_grid(scan)
            shape = (len(self.pipeline.bundle.labels) + 1, *grid.shape_kji)
            found = self.kept.load(roi, shape)
            if found is None:
                self.pipeline.check(None, [self.pipeline.mode])
                prior = self.pipeline.prior(scan, lambda done: progress(done, "segmenting"), self.notify)
                self.kept.save(roi, prior.probabilities.cpu().numpy())
            else:
                prior = Prior(torch.from_numpy(found).to(self.pipeline.device), grid)
            self._priors[roi] = prior
        return self._priors[roi]
