"""The refiner's network: a condition U-Net that runs once an edit, and a light denoiser that runs every step.

The U-Net turns image, prior, current mask and hints into features at three scales, the finest at half the
region's resolution in plane; the denoiser sees the chain's state y_t, meets those features by concatenation
and, at the coarsest scale, by the cross-transformer exchange of HiDiff (arXiv 2407.03548), and ends in a
narrow tail at full resolution. Three quarters of the arithmetic at full resolution would wait for memory
(`Testing/benchmarks/README.md`); at half of it the same time pays four times the channels.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from HiDiffRefineLib.networks.blocks import same_size
from HiDiffRefineLib.networks.bounded import Norm, PostNormBlock, Scaled, doubled
from HiDiffRefineLib.networks.evidence import EVIDENCE_CHANNELS, hint_evidence
from HiDiffRefineLib.networks.exchange import CrossTransformer
from HiDiffRefineLib.networks.step_embedding import step_embedding

# Channels of the condition (`inference.refiner.condition`), and which are image, current mask, newest hint.
CONDITION_CHANNELS, IMAGE, MASK, NEWEST = 12, 0, 3, 8
# Those that the tail sees at full resolution.
TAIL_CHANNELS = (IMAGE, MASK, NEWEST)
STRIDES = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))
# Every side of an input must be a multiple of this, (k, j, i).
DIVISOR_KJI = (8, 16, 16)
# At the finest scale the second convolution of a block stays in its slice.
IN_PLANE = (1, 3, 3)
# Channels of the tail, and those that it receives from the coarser grid.
TAIL, RECEIVED = 16, 8
# Prior logits saturate here (p = .001 … .999): a confident wrong prior stays within the network's reach.
PRIOR_MARGIN = 0.001
# What the current mask counts for as a logit, and how far a correction of order one moves it.
MASK_LOGIT, CORRECTION = 5.0, 4.0


class ConditionUNet(nn.Module):
    """The condition with the hint's evidence → features at strides (1,2,2), (2,4,4) and (4,8,8).

    Args:
        channels: at these three scales and at (8,16,16).
        blocks: of the way down, at the four scales; the way up has one each.
    """

    def __init__(self, channels: Sequence[int], blocks: Sequence[int]):
        super().__init__()
        inputs = (CONDITION_CHANNELS + EVIDENCE_CHANNELS, *channels[:-1])
        self.downs = nn.ModuleList(Scaled(*each) for each in zip(inputs, channels, STRIDES, strict=True))
        self.levels = nn.ModuleList(
            nn.ModuleList(_block(n, width) for _ in range(count))
            for n, (width, count) in enumerate(zip(channels, blocks, strict=True))
        )
        self.ups = nn.ModuleList(Scaled(b, a) for a, b in zip(channels[:-1], channels[1:], strict=True))
        self.merges = nn.ModuleList(_block(n, width) for n, width in enumerate(channels[:-1]))

    def forward(self, condition: torch.Tensor) -> list[torch.Tensor]:
        x, found = condition, []
        for down, level in zip(self.downs, self.levels, strict=True):
            x = F.silu(down(x))
            for block in level:
                x = block(x)
            found.append(x)
        features = []
        for up, merge, skip in list(zip(self.ups, self.merges, found, strict=False))[::-1]:
            x = merge(skip + doubled(up(x)))
            features.append(x)
        return features[::-1]


class Denoiser(nn.Module):
    """State y_t, prior and t, with the encoder's features, → correction of a logit, of order one.

    Args:
        channels: its own, at the three scales.
        encoded: the U-Net's there.
        embedding: width of the step embedding.
        heads: of the exchange.
    """

    def __init__(self, channels: Sequence[int], encoded: Sequence[int], embedding: int, heads: int):
        super().__init__()
        c0, c1, c2 = channels
        self.embedding = nn.Sequential(
            nn.Linear(embedding, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.downs = nn.ModuleList(
            Scaled(*each) for each in zip((3, c0, c1), channels, STRIDES[:3], strict=True)
        )
        self.join0, self.join1 = Scaled(c0 + encoded[0], c0), Scaled(c1 + encoded[1], c1)
        self.join2 = Scaled(encoded[2], c2)
        self.block0, self.decode0 = (PostNormBlock(c0, embedding, IN_PLANE) for _ in range(2))
        self.block1, self.decode1 = (PostNormBlock(c1, embedding) for _ in range(2))
        self.exchange, self.mixed = CrossTransformer(c2, heads, embedding), Norm(c2)
        self.block2 = PostNormBlock(c2, embedding)
        self.up1, self.up0 = Scaled(c2, c1), Scaled(c1, c0)
        self.received = nn.Conv3d(c0, 4 * RECEIVED, 1)
        self.tail = same_size(RECEIVED + 3 + len(TAIL_CHANNELS), TAIL, (3, 3, 3))
        self.norm, self.head = Norm(TAIL), nn.Conv3d(TAIL, 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, state, prior, t_share, features) -> torch.Tensor:
        f0, f1, f2, shown = features
        width = self.embedding[0].in_features
        e = self.embedding(step_embedding(1000.0 * t_share.float(), width).to(f0.dtype))
        # 0 and 1 as -1 and 1, so that "off" is a message too. In memory like the features: bringing the two
        # together otherwise takes a fifth of a step on a CPU.
        x = torch.cat([2 * state - 1, 2 * prior - 1, 2 * shown[:, 1:2] - 1], dim=1)
        x = x.to(f0.dtype, memory_format=torch.channels_last_3d)
        x0 = F.silu(self.join0(torch.cat([self.downs[0](x), f0], dim=1)))
        x0 = self.block0(x0, e)
        x1 = F.silu(self.join1(torch.cat([self.downs[1](x0), f1], dim=1)))
        x1 = self.block1(x1, e)
        x2 = self.exchange(self.downs[2](x1), self.join2(f2), e)
        x2 = self.block2(F.silu(self.mixed(x2)), e)
        x1 = self.decode1(x1 + doubled(self.up1(x2)), e)
        x0 = self.decode0(x0 + doubled(self.up0(x1)), e)
        fine = torch.cat([_spread(self.received(x0)), x, shown.to(x)], dim=1)
        return self.head(F.silu(self.norm(self.tail(fine))))


class EditRefiner(nn.Module):
    """Binary, class-agnostic refiner.

    Args:
        channels: the U-Net's at its four scales.
        blocks: its residual blocks per scale.
        light: the denoiser's channels at three scales.
        embedding: width of the step embedding.
        heads: attention heads of the exchange.

    `encode` runs once per edit, `denoise` once per reverse step. Trained to predict the mask in one pass
    from the soft prior as state (t = T), the same parts are the plain refiner.
    """

    def __init__(
        self,
        channels: Sequence[int] = (48, 96, 192, 256),
        blocks: Sequence[int] = (1, 2, 2, 1),
        light: Sequence[int] = (32, 64, 128),
        embedding: int = 128,
        heads: int = 4,
    ):
        super().__init__()
        self.encoder = ConditionUNet(channels, blocks)
        self.denoiser = Denoiser(light, channels, embedding, heads)
        # What the answer starts from: the prior's logit, the current mask, a constant.
        self.start = nn.Parameter(torch.tensor([0.5, 0.5, 0.0]))

    def encode(self, condition: torch.Tensor) -> list[torch.Tensor]:
        """(B, CONDITION_CHANNELS, k, j, i), sides divisible by `DIVISOR_KJI` → features for `denoise`."""
        evidence = hint_evidence(condition[:, IMAGE, None], condition[:, NEWEST, None])
        seen = torch.cat([condition, evidence], dim=1).contiguous(memory_format=torch.channels_last_3d)
        return [*self.encoder(seen), condition[:, TAIL_CHANNELS]]

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
        mask = features[-1][:, 1:2].float()
        start = self.start[0] * torch.logit(prior.float(), eps=PRIOR_MARGIN)
        start = start + self.start[1] * MASK_LOGIT * (2 * mask - 1) + self.start[2]
        return start + CORRECTION * self.denoiser(state, prior, t_share, features).float()


def _block(level: int, channels: int) -> PostNormBlock:
    return PostNormBlock(channels, second_kji=(3, 3, 3) if level else IN_PLANE)


def _spread(x: torch.Tensor) -> torch.Tensor:
    """(B, 4 C, k, j, i) → (B, C, k, 2 j, 2 i): four channels become the four voxels of a finer slice."""
    b, c, k, j, i = x.shape
    x = x.view(b, c // 4, 2, 2, k, j, i).permute(0, 1, 4, 5, 2, 6, 3)
    return x.reshape(b, c // 4, k, 2 * j, 2 * i).contiguous(memory_format=torch.channels_last_3d)
