"""The whole of DSSM: pixel features, semantic head, label latent, fusion, generator, density, posterior."""

from collections.abc import Sequence
from math import expm1, log
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from HiDiffRefineLib.dssm.fusion import FeatureFusion, PixelGuidance
from HiDiffRefineLib.dssm.latent import STEPS, Generator, LabelDecoder, LabelEncoder, signal
from HiDiffRefineLib.dssm.mixture import ClassMixture
from HiDiffRefineLib.dssm.pixels import PixelFeatures
from HiDiffRefineLib.dssm.posterior import log_posterior
from HiDiffRefineLib.networks.blocks import resized

# Share of the generated latent in the next state; the rest is the posterior map's own latent.
RHO = 0.5


class Step(NamedTuple):
    """What one step of the chain finds, on the features' grid unless said.

    Args:
        clean: l̂_0, (B, latent, …) on the latent's grid.
        v: (B, D, k, j, i), what the density is of.
        log_head, log_density, log_posterior: float32 (B, labels, k, j, i).
    """

    clean: torch.Tensor
    v: torch.Tensor
    log_head: torch.Tensor
    log_density: torch.Tensor
    log_posterior: torch.Tensor


class DSSM(nn.Module):
    """Segmentation from the joint distribution.

    Args:
        labels: classes, background included.
        channels, strides, kernel_kji, in_channels: see `PixelFeatures`; the latent's grid is that of the
            second level.
        latent: channels of the label latent.
        density: D, entries of v. components: M, Gaussians a class.
        discriminative: τ is 0 and stays it: the baseline, of the same size.
        fusion: without, the generator sees the pixel features alone and the head no label features.
    """

    def __init__(
        self,
        labels: int,
        channels: Sequence[int],
        strides: Sequence[Sequence[int]],
        kernel_kji: Sequence[int] = (3, 3, 3),
        latent: int = 16,
        density: int = 32,
        components: int = 4,
        in_channels: int = 1,
        discriminative: bool = False,
        fusion: bool = True,
    ):
        super().__init__()
        width, stride = channels[0], strides[1]
        self.discriminative = discriminative
        self.pixels = PixelFeatures(in_channels, channels, strides, kernel_kji)
        self.head = nn.Conv3d(width, labels, 1)
        self.encode = LabelEncoder(labels, latent, width, stride, kernel_kji)
        self.decode = LabelDecoder(labels, latent, width, stride, kernel_kji)
        self.steps = nn.Embedding(STEPS + 1, width)
        fused = FeatureFusion(width, latent, labels, stride, kernel_kji, width) if fusion else None
        self.fusion = fused or PixelGuidance(width, stride)
        self.generator = Generator(latent, width, kernel_kji, width)
        self.project = nn.Sequential(
            nn.Conv3d(latent + width, density, 1), nn.SiLU(), nn.Conv3d(density, density, 1)
        )
        self.mixture = ClassMixture(labels, components, density)
        # softplus of this is τ; 1 / D at first, as if all entries of v said the same.
        self.raw_tau = nn.Parameter(torch.tensor(log(expm1(1 / density))), requires_grad=not discriminative)
        self.register_buffer("signal", signal(), persistent=False)

    @property
    def tau(self) -> torch.Tensor:
        """The weight of the density in the posterior."""
        tau = F.softplus(self.raw_tau)
        return torch.zeros_like(tau) if self.discriminative else tau

    def classify(self, pixels: torch.Tensor) -> torch.Tensor:
        """log p_d of the head, float32 (B, labels, k, j, i), of features (B, width, k, j, i)."""
        return F.log_softmax(self.head(pixels).float(), dim=1)

    def start(self, given: torch.Tensor) -> torch.Tensor:
        """l_T = sqrt(A_T) E_lab(p_d), without noise, of the head's probabilities."""
        return self.signal[STEPS].sqrt() * self.encode(given).float()

    def step(
        self,
        pixels: torch.Tensor,
        given: torch.Tensor,
        latent: torch.Tensor,
        t: torch.Tensor,
        gamma: float = 1.0,
        tau: float | torch.Tensor | None = None,
        mixture: ClassMixture | None = None,
    ) -> Step:
        """One step of the chain.

        Args:
            pixels: features (B, width, k, j, i). given: the head's first probabilities (B, labels, k, j, i).
            latent: l_t, (B, latent, …). t: (B,) whole numbers.
            gamma, tau: see `log_posterior`; tau None for the network's own.
            mixture: another one than the network's, for an image with hints.
        """
        mixture, tau = mixture or self.mixture, self.tau if tau is None else tau
        step = self.steps(t).to(pixels.dtype)
        guidance, label_features = self.fusion(pixels, latent, given, step)
        clean = self.generator(latent, guidance, step).float()
        log_head = self.classify(pixels + label_features)
        seen = torch.cat([resized(clean, pixels).to(pixels.dtype), pixels], dim=1)
        v = self.project(seen).float()
        # On a sphere of radius sqrt(D): L2-normalised after LayerNorm, as GMMSeg's features, in other units.
        v = F.layer_norm(v.movedim(1, -1), v.shape[1:2]).movedim(-1, 1)
        log_density = mixture(v)
        found = log_posterior(log_head, log_density, mixture.log_prior(), gamma, tau)
        return Step(clean, v, log_head, log_density, found)

    def next_latent(
        self, latent: torch.Tensor, found: Step, posterior: torch.Tensor, t: torch.Tensor, s: torch.Tensor
    ) -> torch.Tensor:
        """l_s, s < t, without fresh noise (DDIM, arXiv 2010.02502, eq. 12 with σ = 0).

        l_s = sqrt(A_s) [ρ l̂_0 + (1 - ρ) E_lab(P)] + sqrt(1 - A_s) ε̂, with ε̂ the noise that l_t and l̂_0 imply.

        Args:
            posterior: P (B, labels, k, j, i). t, s: (B,) whole numbers.
        """
        now, later = (self.signal[n].view(-1, 1, 1, 1, 1) for n in (t, s))
        noise = (latent - now.sqrt() * found.clean) / (1 - now).sqrt()
        mixed = RHO * found.clean + (1 - RHO) * self.encode(posterior).float()
        return (later.sqrt() * mixed + (1 - later).sqrt() * noise).clamp(-1, 1)

    @torch.no_grad()
    def own_state(self, pixels: torch.Tensor, given: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The l_t that inference itself would reach at t, (B,), in one step from the start."""
        last = torch.full_like(t, STEPS)
        start = self.start(given)
        found = self.step(pixels, given, start, last)
        # Where t is the start, `next_latent` isn't asked; any smaller number will do.
        later = self.next_latent(start, found, found.log_posterior.exp(), last, t.clamp(max=STEPS - 1))
        return torch.where((t == STEPS).view(-1, 1, 1, 1, 1), start, later)

    def forward(
        self, image: torch.Tensor, truth: torch.Tensor, t: torch.Tensor, recycled: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The training pass: the answer from a state at t, drawn from the truth or the network's own.

        Args:
            image: (B, in_channels, k, j, i) in 0…1.
            truth: class shares (B, labels, …) on the features' grid.
            t: (B,) whole numbers, 1 … STEPS.
            recycled: (B,) bool, whose state is the network's own. A state drawn from the truth lets it leak.

        Returns:
            "first" (log p_d), "posterior", "density" (log p(v | c)), "decoded" and "reconstructed" (logits of
            D_lab of l̂_0 and of l_0), all (B, labels, …); "v"; "clean" and "latent" (l̂_0 and l_0).
        """
        pixels = self.pixels(image)
        first = self.classify(pixels)
        given = first.detach().exp()
        encoded = self.encode(truth).float()
        signal = self.signal[t].view(-1, 1, 1, 1, 1)
        known = encoded.detach()
        noisy = signal.sqrt() * known + (1 - signal).sqrt() * torch.randn_like(known)
        own = self.own_state(pixels.detach(), given, t)
        latent = torch.where(recycled.view(-1, 1, 1, 1, 1), own, noisy.clamp(-1, 1))
        found = self.step(pixels, given, latent, t)
        return {
            "first": first,
            "posterior": found.log_posterior,
            "density": found.log_density,
            "v": found.v,
            "clean": found.clean,
            "latent": known,
            "decoded": self.decode(found.clean).float(),
            "reconstructed": self.decode(encoded).float(),
        }
