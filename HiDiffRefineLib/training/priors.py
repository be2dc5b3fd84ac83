"""Out-of-fold priors: what a segmentor says of cases it has not seen, packed for the refiner's training."""

import lzma
from pathlib import Path

import numpy as np
import torch

from HiDiffRefineLib.bundles import Bundle
from HiDiffRefineLib.geometry.grids import Grid, covering_grid
from HiDiffRefineLib.inference.segmentor import Prior, run_segmentor
from HiDiffRefineLib.training.cases import Case
from HiDiffRefineLib.volumes.new_files import new_files


def predict_case(network, case: Case, bundle: Bundle, device: torch.device) -> Prior:
    """The prior of a packed case by a network of a segmentor bundle."""
    grid = covering_grid(Grid(case.image.shape, case.ijk_to_ras).bounds_ras(), bundle.working_spacing_kji_mm)
    image = torch.from_numpy(case.image)[None].to(device).float() / 255
    return run_segmentor(network, image, case.ijk_to_ras, grid, bundle.patch_size_kji, len(bundle.labels) + 1)


def save_priors(path: Path, priors: dict[str, Prior]) -> None:
    """Priors by case name as one lzma archive, probabilities in 8 bits: some MiB for twenty volumes."""
    with new_files(path) as [new], lzma.open(new, "wb", preset=1) as file:
        for name, prior in priors.items():
            np.save(file, np.array(name))
            np.save(file, torch.round(prior.probabilities[1:].float() * 255).to(torch.uint8).cpu().numpy())
            np.save(file, prior.grid.ijk_to_ras)


def load_priors(path: Path) -> dict[str, Prior]:
    """Priors by case name; background recovered as what the labels leave."""
    priors = {}
    with lzma.open(path, "rb") as file:
        while file.peek(1):
            name, steps, ijk_to_ras = (np.load(file, allow_pickle=False) for _ in range(3))
            labels = torch.from_numpy(steps).half() / 255
            background = (1 - labels.sum(0, keepdim=True)).clamp(0, 1)
            priors[str(name)] = Prior(torch.cat([background, labels]), Grid(labels.shape[1:], ijk_to_ras))
    return priors
