"""The one-shot answer: DSSM swept over a volume on its working grid, with its map of what is unlike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from HiDiffRefineLib.bundles import Bundle
from HiDiffRefineLib.dssm import DSSM, markov_steps
from HiDiffRefineLib.dssm.inference import head_alone
from HiDiffRefineLib.dssm.typicality import profile, unlikeness
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.inference.one_shot_hints import LabelHints, hint_map, hinted_mixture, known_of
from HiDiffRefineLib.inference.segmentor import Prior, Sweeping, flat_logits, softmax, sweep

# Windows of a one-shot answer overlap by a quarter: a half costs more than twice the time.
OVERLAP = 0.25


@dataclass(frozen=True)
class Variant:
    """One way to ask a DSSM.

    Args:
        steps: of the chain; 0 for the discriminative head alone.
        gamma: weight of the head, see `dssm.posterior`.
        tau_share: weight of the density, as a share of the trained one.
        temperature: divides the log posterior; above 1 the answer is less sure of itself.
    """

    steps: int
    gamma: float = 1.0
    tau_share: float = 1.0
    temperature: float = 1.0


@dataclass(frozen=True)
class OneShot:
    """What DSSM says of a region.

    Args:
        prior: class probabilities on the working grid.
        surprise: -log p(v) in nats there, (k, j, i) float32; zero where the head was asked alone.
    """

    prior: Prior
    surprise: torch.Tensor


def run_dssm(
    network: DSSM,
    image: torch.Tensor,
    ijk_to_ras: np.ndarray,
    grid: Grid,
    patch_kji: Sequence[int],
    variant: Variant,
    progress: Callable[[float], None] = lambda share: None,
    hints: LabelHints | None = None,
) -> OneShot:
    """The answer for a whole region; arguments as `run_segmentor`, hints of labels by their values."""
    labels, stride, mixture = network.head.out_channels, network.pixels.stem.stride, None
    seen = resample(image, ijk_to_ras, grid)
    if hints:
        spacing_kji = grid.spacing_kji
        mixture = hinted_mixture(network, image, ijk_to_ras, spacing_kji, patch_kji, hints, variant.steps)
        shown = torch.from_numpy(hint_map(hints, grid)).to(seen)
        seen = torch.cat([seen, shown[None]])

    def answer(window: torch.Tensor) -> torch.Tensor:
        known = known_of(window[:, 1:], labels, stride) if hints else None
        window = window[:, :1]
        if variant.steps == 0:
            log_probability = head_alone(network, window)
            found = F.pad(log_probability / variant.temperature, (0, 0) * 3 + (0, 1))
        else:
            tau = variant.tau_share * network.tau
            steps = markov_steps(network, window, variant.steps, variant.gamma, tau, known, mixture)
            *_, last = steps
            found = torch.cat([last.log_posterior / variant.temperature, last.surprise], dim=1)
        return F.interpolate(found, size=window.shape[2:], mode="trilinear", align_corners=False)

    found = sweep(answer, seen, patch_kji, [*flat_logits(labels), 0.0], progress, Sweeping(OVERLAP))
    return OneShot(Prior(softmax(found[:labels]), grid), found[labels])


def unlike(found: OneShot, bundle: Bundle) -> str | None:
    """The warning about an image that is unlike those the model knows; None where it is like them.

    None also for a bundle whose DSSM has not been calibrated.
    """
    reference = bundle.settings.get("dssm", {}).get("typical")
    if reference is None or unlikeness(profile_of(found), reference) <= reference["limit"]:
        return None
    return (
        "This image is unlike the training data of this model: check that it is"
        f" {bundle.settings['modality']} and shows what '{bundle.name}' is for, and look at every segment"
        " twice."
    )


def profile_of(found: OneShot) -> np.ndarray:
    """Quantiles of -log p(v), see `dssm.typicality`."""
    seen = found.prior.probabilities.argmax(0) > 0
    return profile(found.surprise.cpu().numpy(), seen.cpu().numpy())
