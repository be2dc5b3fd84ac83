"""Stage 1 with both networks: HiDiff's alternate-collaborative training (arXiv 2407.03548).

The refiner learns from out-of-fold priors, since the segmentor's own training cases look better to it than
any case to come. The segmentor learns from its own loss plus w times the refiner's loss on its prediction,
whose gradient reaches it through the refiner's input; the refiner's weights stay out of that term, as in
alternating steps, and the prior inside the chain's kernel is detached, or the segmentor could move the
target.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from monai.losses import DiceCELoss
from torch import nn

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.training.config import TrainConfig
from HiDiffRefineLib.training.loop import fit, load_half, make_fabric, mean_terms, save_half
from HiDiffRefineLib.training.patches import SegmentationPatches, batches
from HiDiffRefineLib.training.priors import predict_case
from HiDiffRefineLib.training.refiner import chain_losses, paired_sets, print_refinement
from HiDiffRefineLib.training.refiner_patches import RefinerPatches
from HiDiffRefineLib.training.segmentor import is_sided


class Collaboration(nn.Module):
    """Both networks and the losses of one iteration.

    Args:
        segmentor, refiner: trained networks.
        chain: of the refiner.
        weight: w, of the refiner's loss in the segmentor's.
        rng: of labels and steps.
    """

    def __init__(self, segmentor, refiner, chain: BernoulliChain, weight: float, rng: np.random.Generator):
        super().__init__()
        self.segmentor, self.refiner = segmentor, refiner
        self.chain, self.weight, self.rng = chain, weight, rng
        self.criterion = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False, batch=True)

    def forward(self, images, labels, refiner_batch) -> dict[str, torch.Tensor]:
        """Named terms of the segmentor's loss and, from a batch of its own, the refiner's."""
        logits = self.segmentor(images.contiguous(memory_format=torch.channels_last_3d)).float()
        terms = {"segmentor": self.criterion(logits, labels)}
        if self.weight:
            values = labels.unique()
            label = int(values[self.rng.integers(1, len(values))]) if len(values) > 1 else 1
            probabilities = torch.softmax(logits, dim=1)
            prior = probabilities[:, label : label + 1]
            others = 1 - probabilities[:, :1] - prior
            # Parameters that ask for no gradient while this graph is built get none from it.
            self.refiner.requires_grad_(False)
            terms["collaboration"] = self.weight * self._refiner_loss(
                images, prior, others, (labels == label).float()
            )
            self.refiner.requires_grad_(True)
        return terms | {"refiner": self._refiner_loss(*refiner_batch)}

    def _refiner_loss(self, image, prior, others, truth) -> torch.Tensor:
        """The mean over a session's answers."""
        answers = chain_losses(self.refiner, self.chain, self.rng, image, prior, others, truth)
        return sum(mean_terms(list(answers)).values())


def train_collaboration(config: TrainConfig) -> None:
    """Trains a segmentor bundle's network and the refiner together, from trained weights of both.

    config.cases[0] and config.priors[0] belong to the segmentor's bundle; further ones feed the refiner.
    Leaves `segmentor.safetensors` and `refiner.safetensors` in config.output.
    """
    fabric = make_fabric(config)
    bundle = load_bundle(config.bundle)
    refiner_bundle = load_bundle(bundle.settings["refiner"])
    training, held_out = paired_sets(config)
    seed, device = config.seed + fabric.global_rank, fabric.device
    cases = [case for case, _ in training[0]]
    spacing, patch = bundle.working_spacing_kji_mm, bundle.patch_size_kji
    segmentation = SegmentationPatches(cases, patch, spacing, not is_sided(bundle), seed)
    refinement = RefinerPatches(
        training, refiner_bundle.patch_size_kji, seed, config.empty_share, config.set_exponent
    )
    feeds = [batches(p, config.batch, config.workers, device) for p in (segmentation, refinement)]

    settings = refiner_bundle.settings["chain"]
    chain, rng = BernoulliChain(settings["T"], settings["schedule"]), np.random.default_rng(seed)
    segmentor, refiner = (
        build_network(*bundle.network("segmentor")),
        build_network(*refiner_bundle.network("refiner")),
    )
    load_half(segmentor, config.segmentor)
    load_half(refiner, config.warm_start)
    both = Collaboration(segmentor, refiner, chain, config.collaboration, rng)

    both = fit(
        fabric,
        replace(config, warm_start=None),
        both,
        zip(*feeds, strict=False),
        lambda network, batch: [network(*batch[0], batch[1])],
        compiled=(segmentor, refiner.encoder, refiner.denoiser),
    )
    if fabric.global_rank:
        return
    output = Path(config.output)
    save_half(both.segmentor, output / "segmentor.safetensors")
    save_half(both.refiner, output / "refiner.safetensors")
    both.eval()
    pairs = [(case, predict_case(both.segmentor, case, bundle, device)) for case, _ in held_out[0]]
    if pairs:
        print_refinement(both.refiner, chain, refiner_bundle.patch_size_kji, device, pairs)
