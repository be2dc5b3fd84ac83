"""Stage 0: a segmentor, and the out-of-fold priors that the refiner is trained on."""

from pathlib import Path

import torch
from monai.losses import DiceCELoss

from HiDiffRefineLib.bundles import Bundle, load_bundle
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.training.cases import load_cases, split_cases
from HiDiffRefineLib.training.config import TrainConfig
from HiDiffRefineLib.training.loop import fit, make_fabric
from HiDiffRefineLib.training.patches import SegmentationPatches, batches
from HiDiffRefineLib.training.priors import predict_case, save_priors
from HiDiffRefineLib.training.validation import print_dice, prior_maps


def train_segmentor(config: TrainConfig) -> None:
    """Trains one segmentor; if a fold is held out, also writes `priors.npy.xz`, its predictions there."""
    fabric = make_fabric(config)
    bundle = load_bundle(config.bundle)
    cases = [case for archive in config.cases for case in load_cases(Path(archive))]
    training, held_out = split_cases(cases, config.folds, config.fold)
    spacing, patch = bundle.working_spacing_kji_mm, bundle.patch_size_kji
    seed = config.seed + fabric.global_rank
    patches = SegmentationPatches(training, patch, spacing, not is_sided(bundle), seed)
    feed = batches(patches, config.batch, config.workers, fabric.device)
    # Dice over the whole batch: a small organ missing from one patch is no perfect score there.
    criterion = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False, batch=True)

    def losses(network, batch):
        images, labels = batch
        logits = network(images.contiguous(memory_format=torch.channels_last_3d))
        yield {"dice+ce": criterion(logits, labels)}

    network = fit(fabric, config, build_network(*bundle.network("segmentor")), feed, losses)
    if held_out and fabric.global_rank == 0:
        network.eval()
        priors = {c.name: predict_case(network, c, bundle, fabric.device) for c in held_out}
        print_dice("segmentor", ((case, prior_maps(case, priors[case.name])) for case in held_out))
        save_priors(Path(config.output) / "priors.npy.xz", priors)


def is_sided(bundle: Bundle) -> bool:
    """Whether a label means one side of the body, so that images must not be mirrored."""
    return any(label.modifier and label.modifier.meaning in ("Left", "Right") for label in bundle.labels)
