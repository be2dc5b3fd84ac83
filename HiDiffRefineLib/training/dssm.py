"""DSSM, trained end to end so that the posterior P(class | features) is large where the class is true."""

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from HiDiffRefineLib.bundles import Bundle, load_bundle
from HiDiffRefineLib.dssm.latent import STEPS
from HiDiffRefineLib.geometry.grids import Grid, covering_grid
from HiDiffRefineLib.inference.one_shot import Variant, run_dssm
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.training.cases import Case, load_cases, split_cases
from HiDiffRefineLib.training.config import TrainConfig
from HiDiffRefineLib.training.device_patches import DevicePatches
from HiDiffRefineLib.training.loop import fit, make_fabric, save_half
from HiDiffRefineLib.training.segmentor import is_sided
from HiDiffRefineLib.training.soft_dice import soft_dice_loss
from HiDiffRefineLib.training.validation import print_dice, prior_maps

# Share of batches at the chain's start, where the one-shot answer is given.
START_SHARE = 0.5
HEAD_WEIGHT, DECODED_WEIGHT, LATENT_WEIGHT, DENSITY_WEIGHT = 0.4, 0.5, 0.1, 0.1
# Voxels of each batch that the mixture is fitted to, and how much they count against those before.
EM_VOXELS, EM_SHARE = 65_536, 0.05
# Batches that the mixture is fitted to once more at the end: averaged weights see features a little anew.
LAST_BATCHES = 60
# What held-out cases are looked at with.
SHOWN = {"head alone": Variant(0), "1 step": Variant(1), "4 steps": Variant(4)}


def train_dssm(config: TrainConfig) -> None:
    """Trains one DSSM, or with tau 0 its discriminative twin of the same size."""
    fabric = make_fabric(config)
    bundle = load_bundle(config.bundle)
    cases = [case for archive in config.cases for case in load_cases(Path(archive))]
    training, held_out = split_cases(cases, config.folds, config.fold)
    seed = config.seed + fabric.global_rank
    patches = DevicePatches(
        training,
        bundle.patch_size_kji,
        bundle.working_spacing_kji_mm,
        not is_sided(bundle),
        seed,
        fabric.device,
    )
    name, arguments = bundle.network("dssm")
    network = build_network(name, arguments | config.network)
    feed = patches.batches(config.batch)

    def losses(wrapped, batch):
        image, labels = batch
        stride = network.pixels.stem.stride
        truth = class_shares(labels, network.head.out_channels, stride)
        t = random_steps(len(image), image.device)
        recycled = torch.rand(len(image), device=image.device) < config.recycling
        image = image.contiguous(memory_format=torch.channels_last_3d)
        found = wrapped(image, truth, t, recycled)
        fit_mixture(network, found["v"].detach(), truth, EM_SHARE)
        yield dssm_loss(found, truth, network.tau, network.mixture.log_prior())

    # The rest is small, or runs with and without gradients, each of which would be compiled.
    averaged = fit(fabric, config, network, feed, losses, compiled=(network.pixels,))
    if fabric.global_rank == 0:
        settle_mixture(averaged, feed, fabric)
        save_half(averaged, Path(config.output) / "weights.safetensors")
        averaged.eval()
        for row, variant in SHOWN.items() if held_out else ():
            found = partial(answer_case, averaged, bundle, variant, fabric.device)
            print_dice(row, ((case, prior_maps(case, found(case))) for case in held_out))


def answer_case(network, bundle: Bundle, variant: Variant, device: torch.device, case: Case) -> Prior:
    """DSSM's answer for a packed case."""
    grid = covering_grid(Grid(case.image.shape, case.ijk_to_ras).bounds_ras(), bundle.working_spacing_kji_mm)
    image = torch.from_numpy(case.image)[None].to(device).float() / 255
    return run_dssm(network, image, case.ijk_to_ras, grid, bundle.patch_size_kji, variant).prior


def random_steps(count: int, device: torch.device) -> torch.Tensor:
    """(count,) whole numbers t: the start for about `START_SHARE` of them, else evenly what comes after."""
    at_start = torch.rand(count, device=device) < START_SHARE
    return torch.where(at_start, STEPS, torch.randint(1, STEPS, (count,), device=device))


def class_shares(labels: torch.Tensor, count: int, stride_kji) -> torch.Tensor:
    """How much of each coarser voxel each class has: labels (B, 1, k, j, i) → (B, count, …), float32."""
    classes = torch.arange(count, device=labels.device).view(1, -1, 1, 1, 1)
    return F.avg_pool3d((labels == classes).float(), tuple(stride_kji))


def dssm_loss(
    found: dict[str, torch.Tensor], truth: torch.Tensor, tau: torch.Tensor, log_prior: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The terms of the training objective.

    Args:
        found: of `DSSM.forward`. truth: class shares (B, labels, k, j, i).
        tau: weight of the density. log_prior: log p(c), (labels,).
    """
    posterior = found["posterior"]
    generative = F.log_softmax(tau * (found["density"] + log_prior.view(1, -1, 1, 1, 1)), dim=1)
    decoded = F.log_softmax(found["decoded"], dim=1)
    reconstructed = F.log_softmax(found["reconstructed"], dim=1)
    return {
        "posterior": cross_entropy(posterior, truth),
        "dice": soft_dice_loss(posterior.exp(), truth),
        "head": HEAD_WEIGHT
        * (cross_entropy(found["first"], truth) + soft_dice_loss(found["first"].exp(), truth)),
        "density": DENSITY_WEIGHT * cross_entropy(generative, truth),
        "decoded": DECODED_WEIGHT * cross_entropy(decoded, truth),
        "latent": LATENT_WEIGHT * F.mse_loss(found["clean"], found["latent"]),
        "reconstructed": DECODED_WEIGHT * cross_entropy(reconstructed, truth),
    }


def cross_entropy(log_probability: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean over voxels of -Σ_c truth_c log p_c; both (B, C, k, j, i), truth in shares."""
    return -(truth * log_probability).sum(1).mean()


def fit_mixture(network, v: torch.Tensor, truth: torch.Tensor, share: float) -> None:
    """One EM step on some voxels of a batch: v (B, D, k, j, i), truth (B, labels, k, j, i)."""
    rows = v.movedim(1, -1).flatten(0, -2)
    classes = truth.argmax(1).flatten()
    chosen = torch.randint(len(rows), (min(EM_VOXELS, len(rows)),), device=rows.device)
    network.mixture.update(rows[chosen], classes[chosen], share)


@torch.no_grad()
def settle_mixture(network, feed, fabric) -> None:
    """EM with the averaged weights: all of `LAST_BATCHES` count alike."""
    network.train()
    for n in range(LAST_BATCHES):
        image, labels = next(feed)
        truth = class_shares(labels, network.head.out_channels, network.pixels.stem.stride)
        t = torch.full((len(image),), STEPS, device=image.device)
        with fabric.autocast():
            found = network(image, truth, t, t > 0)
        fit_mixture(network, found["v"], truth, 1 / (n + 1))
