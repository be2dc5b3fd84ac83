"""The main job: a volume goes in, a prior mask and its refinement come out."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.bundles import Bundle, refiner_of
from HiDiffRefineLib.errors import ConfigError, VolumeError
from HiDiffRefineLib.geometry.boxes import part_of
from HiDiffRefineLib.geometry.grids import Grid, covering_grid
from HiDiffRefineLib.inference.checks import MODES, check_segmentor, checked_steps, unlike_in_size
from HiDiffRefineLib.inference.compose import LabelProbability, compose, label_probability
from HiDiffRefineLib.inference.graphs import RefinerGraphs
from HiDiffRefineLib.inference.imported import prepared_image, run_imported
from HiDiffRefineLib.inference.intensity import intensity_range, scale
from HiDiffRefineLib.inference.islands import remove_islands
from HiDiffRefineLib.inference.memory import why_on_processor
from HiDiffRefineLib.inference.models import copied, load_network
from HiDiffRefineLib.inference.one_shot import OneShot, Variant, run_dssm, unlike
from HiDiffRefineLib.inference.one_shot_hints import LabelHints, obeying
from HiDiffRefineLib.inference.refiner import Region, reverse_steps, segment_region
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.inference.segmentor import Mirrored, Prior, counterparts_of, run_segmentor
from HiDiffRefineLib.volumes.volume import Volume

if TYPE_CHECKING:
    from HiDiffRefineLib.inference.engine import LocalEngine

Result = TypeVar("Result")


@dataclass(frozen=True)
class Scan:
    """A volume as the networks see it.

    Args:
        image: (1, k, j, i) float32 in 0…1 on the device.
        grid: the image's own.
        bounds_ras: (2, 3) RAS mm, where to segment.
        prepared: what an imported segmentor sees, made once, when first asked for; None of a bundle of ours.
    """

    image: torch.Tensor
    grid: Grid
    bounds_ras: np.ndarray
    prepared: Callable[[], tuple[np.ndarray, Grid]] | None = None


@dataclass
class Pipeline:
    """Segmentor and refiner of a bundle on one device; networks load when first used.

    A refiner's bundle makes a pipeline as well, for masks from elsewhere on images of any kind.

    Args:
        mode: what gives the prior: "segmentor", or "dssm" for the one-shot answer.
        notify: told by the engines of sessions, see `LocalEngine`.
    """

    bundle: Bundle
    device: torch.device
    mode: str = "segmentor"
    notify: Callable[[str], None] = lambda text: None
    _networks: dict = field(default_factory=dict, repr=False)
    _read: dict = field(default_factory=dict, repr=False)
    _graphs: RefinerGraphs | None = field(default=None, repr=False)

    def open(self, volume: Volume) -> "LocalEngine":
        """An engine for a session, see `session.engine.Models`."""
        from HiDiffRefineLib.inference.engine import LocalEngine  # which is made of pipelines

        return LocalEngine(volume, self, self.notify)

    @cached_property
    def refiner_bundle(self) -> Bundle:
        """The class-agnostic refiner that this bundle names, or is."""
        return refiner_of(self.bundle)

    @cached_property
    def chain(self) -> BernoulliChain:
        """The refiner's Bernoulli chain."""
        settings = self.refiner_bundle.settings["chain"]
        return BernoulliChain(settings["T"], settings["schedule"])

    @property
    def temperature(self) -> float:
        """Of the refiner's uncertainty, see `uncertainty.tempered`."""
        return self.refiner_bundle.settings.get("temperature", 1.0)

    def network(self, key: str) -> torch.nn.Module:
        """The network "segmentor", "dssm", "refiner" or "plain_refiner", on the device."""
        if key not in self._networks:
            self._read_network(key)
            self._networks[key] = self._read[key].to(self.device)
            del self._read[key]
        return self._networks[key]

    def _read_network(self, key: str) -> None:
        """Has a network at hand, on the processor until it is used: a full GPU is no reason to refuse."""
        if key not in self._networks and key not in self._read:
            bundle = self.bundle if key in MODES else self.refiner_bundle
            self._read[key] = load_network(bundle, key, torch.device("cpu"))

    @property
    def edit_network(self) -> torch.nn.Module | RefinerGraphs:
        """The refiner as edits run it: on a CUDA device as graphs."""
        network = self.network("refiner")
        if self.device.type != "cuda":
            return network
        if self._graphs is None:
            self._graphs = RefinerGraphs(network)
        return self._graphs

    def check(self, steps: int | None, needed: Sequence[str]) -> int:
        """Refuses what can't run, before long work, and reads the networks that will.

        Args:
            steps: reverse steps wanted; None for the refiner's default.
            needed: networks that will run.

        Returns:
            the number of reverse steps; 0 where the refiner is not needed.

        Raises:
            ConfigError: a segmentor is needed and the bundle is none, or impossible steps.
            BundleError: weights missing or damaged.
        """
        for mode in set(needed) & set(MODES):
            check_segmentor(self.bundle, mode)
        steps = checked_steps(self.refiner_bundle, steps) if "refiner" in needed else 0
        for key in needed:
            self._read_network(key)
        return steps

    def on(self, device: torch.device) -> "Pipeline":
        """The same on another device. Networks at hand are copied, not read again."""
        other = copy(self)
        other.device, other._graphs = device, None
        other._networks = {}
        other._read = {key: copied(network, device) for key, network in (self._networks | self._read).items()}
        return other

    def where_there_is_room(
        self, work: Callable[["Pipeline"], Result], notify: Callable[[str], None] = lambda text: None
    ) -> Result:
        """What some work with this pipeline gives; on the processor where the GPU cannot, which is told."""
        try:
            return work(self)
        except Exception as error:
            why = why_on_processor(error)
            if self.device.type == "cpu" or why is None:
                raise
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        notify(why)
        return work(self.on(torch.device("cpu")))

    def check_modality(self, volume: Volume) -> None:
        """Refuses a volume (VolumeError) that says it is of another modality than the bundle's."""
        modality = self.bundle.settings.get("modality", volume.modality)
        if volume.modality not in ("", modality):
            raise VolumeError(
                f"{volume.name} is {volume.modality}, but the model '{self.bundle.name}' is for {modality}.",
                f"Choose a series of modality {modality}, or another model.",
            )

    def bounds_ras(self, volume: Volume, roi: RegionOfInterest | None = None) -> np.ndarray:
        """Where to segment, (2, 3) RAS mm: the volume, or what a region of interest holds of it.

        Raises:
            VolumeError: another modality than the bundle's, or a larger region than it was made for.
        """
        self.check_modality(volume)
        limit = self.bundle.settings.get("region_mm", np.inf)
        low, high = Grid(volume.array.shape, volume.ijk_to_ras).bounds_ras()
        if roi is not None:
            low, high = np.maximum(low, roi.bounds_ras()[0]), np.minimum(high, roi.bounds_ras()[1])
        if (high - low).max() > limit:
            raise VolumeError(
                f"'{self.bundle.name}' is for regions of up to {limit:g} mm on a side, and this one measures"
                f" {' × '.join(f'{side:.0f}' for side in high - low)} mm.",
                f"Limit it with segment's option --roi R,A,S,r (r up to {limit / 2:g} mm around a point),"
                " for instance --roi 28,-21,-16,25.",
            )
        return np.stack([low, high])

    def scan(self, volume: Volume, roi: RegionOfInterest | None = None) -> Scan:
        """The volume, or the part of it around a region of interest, normalised by the bundle's rule."""
        grid, bounds = Grid(volume.array.shape, volume.ijk_to_ras), self.bounds_ras(volume, roi)
        low, high = self.shown_range(volume, roi)
        array = volume.array
        if roi is not None:
            box = roi.box(grid)
            array, grid = array[box], part_of(grid, box)
        image = torch.from_numpy(scale(array, low, high))[None]
        return Scan(image.to(self.device), grid, bounds, self.preparation(array, grid, low, high))

    def shown_range(self, volume: Volume, roi: RegionOfInterest | None = None) -> tuple[float, float]:
        """The stored values that become 0 and 1, by the bundle's rule, for the volume or a region of it."""
        rule, values = self.bundle.settings["intensity"], volume.array
        if roi is not None and rule["rule"] == "percentiles":
            grid = Grid(volume.array.shape, volume.ijk_to_ras)
            box = roi.box(grid)
            values = values[box][roi.holds(part_of(grid, box))]
        return intensity_range(values, rule)

    def prior(
        self,
        scan: Scan,
        progress: Callable[[float], None] = lambda share: None,
        notify: Callable[[str], None] = lambda text: None,
        hints: LabelHints | None = None,
    ) -> Prior:
        """Class probabilities on the working grid, by the segmentor or by DSSM, without islands.

        Args:
            progress: called with the share done.
            hints: in mode "dssm", hints of labels by their values.
            notify: told of an image that is unlike those the model knows: in voxels and field of view, and in
                mode "dssm" in what it shows.
        """
        if warning := unlike_in_size(self.bundle, scan.bounds_ras, scan.grid.spacing_kji):
            notify(warning)
        if self.mode == "dssm":
            found = self.one_shot(scan, None, progress, hints)
            if warning := unlike(found, self.bundle):
                notify(warning)
            if not hints:  # a small piece may be what a hint has asked for
                remove_islands(found.prior.probabilities)
            return found.prior
        if scan.prepared is not None:
            return run_imported(self.network("segmentor"), *scan.prepared(), self.bundle, progress)
        grid = self.working_grid(scan)
        network, labels = self.network("segmentor"), len(self.bundle.labels) + 1
        if self.bundle.settings.get("mirrored"):
            network = Mirrored(network, counterparts_of(self.bundle.labels))
        patch = self.bundle.patch_size_kji
        prior = run_segmentor(network, scan.image, scan.grid.ijk_to_ras, grid, patch, labels, progress)
        remove_islands(prior.probabilities)
        return prior

    def preparation(
        self, values: np.ndarray, grid: Grid, low: float, high: float
    ) -> Callable[[], tuple[np.ndarray, Grid]] | None:
        """For `Scan.prepared`, of values (k, j, i) as stored, of which low and high became 0 and 1."""
        if "imported" not in self.bundle.settings:
            return None
        rule = self.bundle.settings["intensity"]
        if rule["rule"] == "hu_window" and (low, high) != (rule["low"], rule["high"]):
            # An 8-bit display, whose Hounsfield units the network wants.
            values = scale(values, low, high) * (rule["high"] - rule["low"]) + rule["low"]
        return cache(lambda: prepared_image(values, grid, self.bundle))

    def working_grid(self, scan: Scan) -> Grid:
        """Where class probabilities of a scan lie."""
        if scan.prepared is not None:
            return scan.prepared()[1]
        return covering_grid(scan.bounds_ras, self.bundle.working_spacing_kji_mm)

    def one_shot(
        self,
        scan: Scan,
        variant: Variant | None = None,
        progress: Callable[[float], None] = lambda share: None,
        hints: LabelHints | None = None,
    ) -> OneShot:
        """DSSM's answer on the working grid; variant None for the bundle's own."""
        grid = self.working_grid(scan)
        variant = variant or self.dssm_variant
        patch = self.bundle.patch_size_kji
        return run_dssm(
            self.network("dssm"),
            scan.image,
            scan.grid.ijk_to_ras,
            grid,
            patch,
            variant,
            progress,
            hints,
        )

    @property
    def dssm_variant(self) -> Variant:
        """Number of steps and temperature that measured best; 1 and 1 where nothing was measured."""
        settings = self.bundle.settings.get("dssm", {})
        return Variant(settings.get("steps", 1), temperature=settings.get("temperature", 1.0))

    def region(self, scan: Scan, prior: Prior, label: int) -> Region | None:
        """Where a label is refined; None where the prior has none of it."""
        patch = self.refiner_bundle.patch_size_kji
        return segment_region(scan.image, scan.grid.ijk_to_ras, prior, label, patch)

    def refined(self, scan: Scan, prior: Prior, label: int, steps: int, seed: int) -> LabelProbability | None:
        """One label after the reverse steps, on the native grid."""
        region = self.region(scan, prior, label)
        if region is None:
            return label_probability(prior, label, scan.grid)
        *_, answer = reverse_steps(self.network("refiner"), self.chain, region, steps, seed)
        return label_probability(prior, label, scan.grid, region, answer)


def segment(
    pipeline: Pipeline,
    volume: Volume,
    regions: Sequence[RegionOfInterest] = (),
    steps: int | None = None,
    seed: int = 0,
    prior_only: bool = False,
    progress: Callable[[float, str], None] = lambda share, what: None,
    notify: Callable[[str], None] = lambda text: None,
    hints: LabelHints | None = None,
) -> tuple[np.ndarray, list[LabelProbability]]:
    """Segments and refines a volume.

    Args:
        regions: only there; none for the whole volume.
        steps: reverse steps; None for the refiner's default.
        seed: fixes the result on a device.
        prior_only: leave the refiner out, as for a bundle that is not refined without hints.
        progress: called with the share done and what is being done.
        notify, hints: see `Pipeline.prior`; each hint holds in the labelmap.

    Returns:
        labelmap (k, j, i) uint8 and the labels' probabilities, both on the volume's grid.

    Raises:
        ConfigError: impossible steps or seed, or a bundle that is no segmentor.
        VolumeError: a region outside the volume or too large, another modality than the bundle's, or
            intensities that it can't use.
    """
    if seed < 0:
        raise ConfigError(f"The seed {seed} is negative.", "Choose 0 or more.")
    prior_only = prior_only or not pipeline.bundle.refined_without_hints
    steps = pipeline.check(steps, [pipeline.mode] if prior_only else [pipeline.mode, "refiner"])
    grid = Grid(volume.array.shape, volume.ijk_to_ras)
    boxes = [roi.box(grid) for roi in regions]
    for roi in regions or [None]:
        pipeline.bounds_ras(volume, roi)
    if not regions:
        maps = _label_maps(pipeline, volume, None, steps, seed, progress, notify, hints)
        labelmap = compose(maps, grid.shape_kji)
        return (obeying(labelmap, hints, grid) if hints else labelmap), maps
    labelmap, maps = np.zeros(grid.shape_kji, np.uint8), []
    for n, (roi, box) in enumerate(zip(regions, boxes, strict=True)):

        def share(done: float, what: str, n: int = n) -> None:
            progress((n + done) / len(regions), what)

        there = part_of(grid, box)
        inside = roi.holds(there)
        parts = _label_maps(pipeline, volume, roi, steps, seed, share, notify, hints)
        found = [part.within(inside) for part in parts]
        part = compose(found, there.shape_kji)
        labelmap[box][part > 0] = part[part > 0]
        maps += [part.moved(box) for part in found]
    return (obeying(labelmap, hints, grid) if hints else labelmap), maps


def _label_maps(
    pipeline: Pipeline, volume: Volume, roi, steps: int, seed: int, progress, notify, hints
) -> list[LabelProbability]:
    def work(pipeline: Pipeline) -> list[LabelProbability]:
        return _scanned_maps(pipeline, pipeline.scan(volume, roi), steps, seed, progress, notify, hints)

    return pipeline.where_there_is_room(work, notify)


def _scanned_maps(
    pipeline: Pipeline, scan: Scan, steps: int, seed: int, progress, notify, hints
) -> list[LabelProbability]:
    share = 0.6 if steps else 1.0
    prior = pipeline.prior(scan, lambda done: progress(share * done, "segmenting"), notify, hints)
    labels, maps = pipeline.bundle.labels, []
    for n, label in enumerate(labels):
        if steps:
            progress(share + (1 - share) * n / len(labels), f"refining {label.name}")
            maps.append(pipeline.refined(scan, prior, label.value, steps, seed))
        else:
            maps.append(label_probability(prior, label.value, scan.grid))
    progress(1.0, "done")
    return [found for found in maps if found is not None]
