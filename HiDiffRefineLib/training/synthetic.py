"""Stage 0 without images: a segmentor trained on heads that `synthesis` draws, and its Dice on others."""

import json
from math import isnan
from pathlib import Path

import torch
import torch.nn.functional as F

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.training.cases import split_cases
from HiDiffRefineLib.training.config import TrainConfig
from HiDiffRefineLib.training.head_maps import load_head_maps
from HiDiffRefineLib.training.loop import fit, make_fabric
from HiDiffRefineLib.training.soft_dice import soft_dice_loss
from HiDiffRefineLib.training.synthesis import HeadSynthesis
from HiDiffRefineLib.volumes.new_files import write_whole

# Small structures weigh more in the first steps: after 300 of a small trial 14 were found instead of 5. Later
# that would make them too large. See `dice_and_cross_entropy`.
EVENNESS, EVEN_STEPS = 0.5, 3000
# Images drawn of each head held out, and the seed that makes them the same for every network.
IMAGES_PER_HEAD, VALIDATION_SEED = 8, 20261122


def train_synthetic(config: TrainConfig) -> None:
    """Trains one segmentor; if a fold is held out, also prints and writes `dice.json`, its Dice there."""
    fabric = make_fabric(config)
    bundle = load_bundle(config.bundle)
    maps = load_head_maps(Path(config.cases[0]))
    training, held_out = split_cases(maps.heads, config.folds, config.fold)
    patch, spacing = bundle.patch_size_kji, bundle.working_spacing_kji_mm
    seed = config.seed + fabric.global_rank
    synthesis = HeadSynthesis(maps, training, patch, spacing, fabric.device, seed)
    # Tens of numbers a voxel: fused, they never reach the memory.
    criterion = torch.compile(dice_and_cross_entropy) if config.compile else dice_and_cross_entropy

    step = torch.zeros((), device=fabric.device)

    def losses(network, batch):
        images, labels = batch
        evenness = EVENNESS * (1 - step / EVEN_STEPS).clamp(min=0)
        step.add_(1)
        yield criterion(network(images.contiguous(memory_format=torch.channels_last_3d)), labels, evenness)

    network = build_network(*bundle.network("segmentor"))
    network = fit(fabric, config, network, synthesis.batches(config.batch), losses)
    if held_out and fabric.global_rank == 0:
        network.eval()
        dice = {}
        for head in held_out:
            drawn = HeadSynthesis(maps, [head], patch, spacing, fabric.device, VALIDATION_SEED)
            dice[head.name] = synthetic_dice(fabric, network, drawn, len(bundle.labels))
        write_dice(Path(config.output) / "dice.json", dice, [label.name for label in bundle.labels])


def dice_and_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, evenness: torch.Tensor | float = 0.0
) -> dict[str, torch.Tensor]:
    """`soft_dice_loss` and cross-entropy.

    Args:
        logits: (B, labels, k, j, i). labels: (B, 1, k, j, i) int64.
        evenness: voxels weigh n^-evenness in the cross-entropy, n the voxels of their label in the batch;
            at 0 all the same.
    """
    logarithms = F.log_softmax(logits.float(), dim=1)
    numbers = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1, 1)
    truth = labels == numbers
    space = (0, 2, 3, 4)
    count = truth.sum(space)
    weight = (count + 1.0) ** -evenness
    entropy = -((logarithms * truth).sum(space) * weight).sum() / (count * weight).sum()
    return {"dice": soft_dice_loss(logarithms.exp(), truth), "cross_entropy": entropy}


@torch.no_grad()
def synthetic_dice(fabric, network, synthesis: HeadSynthesis, labels: int) -> list[float]:
    """Mean Dice of each label over the images of one head, working grid; nan where no image shows it."""
    rows = []
    for _ in range(IMAGES_PER_HEAD):
        image, truth = synthesis.draw(1)
        with fabric.autocast():
            found = network(image).argmax(1, keepdim=True)
        numbers = torch.arange(1, labels + 1, device=found.device).view(-1, 1, 1, 1, 1, 1)
        shared, total = ((found == numbers) & (truth == numbers)), (found == numbers).sum((1, 2, 3, 4, 5))
        there = (truth == numbers).sum((1, 2, 3, 4, 5))
        row = 2 * shared.sum((1, 2, 3, 4, 5)) / (total + there)
        rows.append(torch.where(there > 0, row, torch.nan))
    return torch.stack(rows).nanmean(0).tolist()


def write_dice(path: Path, dice: dict[str, list[float]], names: list[str]) -> None:
    """Writes mean Dice of every label over heads, and prints it."""
    table = torch.tensor(list(dice.values()))
    means = dict(zip(names, table.nanmean(0).tolist(), strict=True))
    whole = table.nanmean().item()
    for name, mean in means.items():
        print(f"{name:<36}{mean:.3f}")
    print(f"{'mean':<36}{whole:.3f}", flush=True)
    # JSON knows no nan, which stands for a structure that no image showed.
    means = {name: None if isnan(mean) else mean for name, mean in means.items()}
    figures = {"heads": list(dice), "images_per_head": IMAGES_PER_HEAD, "mean": whole, "per_label": means}
    write_whole(path, (json.dumps(figures, indent=2) + "\n").encode())
