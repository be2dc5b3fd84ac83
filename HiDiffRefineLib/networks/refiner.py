"""The refiner: a condition encoder that runs once per edit and a light denoiser that runs every reverse step.

The split puts the cost in one place. What stays fixed during an edit (image, prior, current mask, hints) is
encoded once into discriminative features at four scales; the denoiser sees the chain's state y_t at every
step and meets those features by concatenation at the fine scales and by the cross-transformer exchange of
HiDiff (arXiv 2407.03548) at the coarsest. The network predicts y_0 as a correction of the prior's logit.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from HiDiffRefineLib.networks.blocks import ResidualBlock, down, norm, resized
from HiDiffRefineLib.networks.exchange import CrossTransformer
from HiDiffRefineLib.networks.step_embedding import step_embedding

# Channels of the condition, all in 0…1: image, prior, the other segments' probability (this one may begin
# where they end), current mask, then hints (positive and negative clicks, positive and negative scribbles).
CONDITION_CHANNELS = 8
STRIDES = ((1, 2, 2), (2, 2, 2), (2, 2, 2))
# Every side of an input must be a multiple of this, (k, j, i).
DIVISOR_KJI = (4, 8, 8)
# Prior logits saturate here (p = .001 … .999): a confident wrong prior stays within the network's reach.
PRIOR_MARGIN = 0.001


class ConditionEncoder(nn.Module):
    """(B, CONDITION_CHANNELS, k, j, i) → features at strides 1, (1,2,2), (2,4,4) and (4,8,8)."""

    def __init__(self, channels: Sequence[int], blocks: Sequence[int]):
        super().__init__()
        self.stem = nn.Conv3d(CONDITION_CHANNELS, channels[0], 3, padding=1)
        self.downs = nn.ModuleList(
            down(a, b, s) for a, b, s in zip(channels[:-1], channels[1:], STRIDES, strict=True)
        )
        self.levels = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(c) for _ in range(n)))
            for c, n in zip(channels, blocks, strict=True)
        )

    def forward(self, condition: torch.Tensor) -> list[torch.Tensor]:
        x = self.stem(condition)
        features = []
        for level, block in enumerate(self.levels):
            x = block(x if level == 0 else self.downs[level - 1](x))
            features.append(x)
        return features


class Denoiser(nn.Module):
    """State y_t, prior and t, with the encoder's features, → correction of the prior's logit.

    Args:
        channels: its own, at the four scales; the last is also the encoder's.
        encoded: the encoder's channels.
        embedding: width of the step embedding.
        heads: of the exchange.
    """

    def __init__(self, channels: Sequence[int], encoded: Sequence[int], embedding: int, heads: int):
        super().__init__()
        c0, c1, c2, c3 = channels
        self.embedding = nn.Sequential(
            nn.Linear(embedding, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.stem, self.join0 = down(2, c1, STRIDES[0]), nn.Conv3d(2 + encoded[0], c0, 1)
        self.join1, self.join2 = nn.Conv3d(c1 + encoded[1], c1, 1), nn.Conv3d(c2 + encoded[2], c2, 1)
        self.block1, self.block2 = (ResidualBlock(c, embedding=embedding) for c in (c1, c2))
        self.down2, self.down3 = down(c1, c2, STRIDES[1]), down(c2, c3, STRIDES[2])
        self.exchange = CrossTransformer(c3, heads, embedding)
        self.block3 = ResidualBlock(c3, embedding=embedding)
        self.up2, self.up1, self.up0 = nn.Conv3d(c3, c2, 1), nn.Conv3d(c2, c1, 1), nn.Conv3d(c1, c0, 1)
        self.decode2, self.decode1 = (ResidualBlock(c, embedding=embedding) for c in (c2, c1))
        self.decode0, self.norm0 = nn.Conv3d(c0, c0, 3, padding=1), norm(c0)
        self.head = nn.Conv3d(c0, 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, state, prior, t_share, features) -> torch.Tensor:
        f0, f1, f2, f3 = features
        width = self.embedding[0].in_features
        e = self.embedding(step_embedding(1000.0 * t_share.float(), width).to(f0.dtype))
        # y_t in {0, 1} as ±1, so that "off" is a message too. In memory like the features: bringing the two
        # together otherwise takes a fifth of a step on a CPU.
        x0 = torch.cat([2 * state - 1, prior], dim=1).to(f0.dtype, memory_format=torch.channels_last_3d)
        x1 = self.block1(self.join1(torch.cat([self.stem(x0), f1], dim=1)), e)
        x2 = self.block2(self.join2(torch.cat([self.down2(x1), f2], dim=1)), e)
        x3 = self.block3(self.exchange(self.down3(x2), f3, e), e)
        x2 = self.decode2(x2 + resized(self.up2(x3), x2), e)
        x1 = self.decode1(x1 + resized(self.up1(x2), x1), e)
        x = self.join0(torch.cat([x0, f0], dim=1)) + resized(self.up0(x1), x0)
        return self.head(F.silu(self.decode0(F.silu(self.norm0(x)))))


class BernoulliRefiner(nn.Module):
    """Binary, class-agnostic refiner.

    Args:
        channels: the encoder's feature channels at the four scales.
        blocks: the encoder's residual blocks per scale.
        light: the denoiser's feature channels; the last is also the encoder's.
        embedding: width of the step embedding.
        heads: attention heads of the exchange.

    `encode` runs once per edit, `denoise` once per reverse step. Trained to predict the mask in one pass
    from the soft prior as state (t = T), the same parts are the plain refiner.
    """

    def __init__(
        self,
        channels: Sequence[int] = (24, 40, 64, 96),
        blocks: Sequence[int] = (1, 1, 2, 2),
        light: Sequence[int] = (16, 24, 48, 96),
        embedding: int = 128,
        heads: int = 4,
    ):
        super().__init__()
        self.encoder = ConditionEncoder(channels, blocks)
        self.denoiser = Denoiser(light, channels, embedding, heads)

    def encode(self, condition: torch.Tensor) -> list[torch.Tensor]:
        """(B, ≥ CONDITION_CHANNELS, k, j, i), sides divisible by `DIVISOR_KJI` → features for `denoise`."""
        return self.encoder(condition[:, :CONDITION_CHANNELS])

    def denoise(
        self, state: torch.Tensor, prior: torch.Tensor, t_share: torch.Tensor, features: list[torch.Tensor]
    ) -> torch.Tensor:
        """One reverse step's prediction.

        Args:
            state: y_t, (B, 1, k, j, i) in {0, 1} (the plain refiner passes the soft prior).
            prior: (B, 1, k, j, i) probabilities; the chain's terminal law.
            t_share: (B,) t / T in (0, 1].
            features: of `encode`.

        Returns:
            Logits of P(y_0 = 1), float32, (B, 1, k, j, i).
        """
        correction = self.denoiser(state, prior, t_share, features)
        return torch.logit(prior.float(), eps=PRIOR_MARGIN) + correction.float()
