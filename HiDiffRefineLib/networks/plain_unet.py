"""The U-Net of nnU-Net v2's plans (PlainConvUNet), with parts named as in its checkpoints."""

from collections.abc import Sequence

import torch
from torch import nn


class PlainConvUNet(nn.Module):
    """Image (B, 1, ...) → logits (B, labels, ...).

    MONAI's DynUNet is the same but for plans whose kernels change from level to level, as those of thick
    slices do, and for other numbers of convolutions.

    Args:
        labels: background included.
        channels: of each level.
        kernels: of each level, voxels along the three axes.
        strides: of each level, the first one 1.
        convolutions: of each level of the encoder.
        decoder_convolutions: of each level of the decoder, the deepest first.
        bias: of convolutions.
        eps: of instance norms.
        slope: of leaky rectifiers.
    """

    def __init__(
        self,
        labels: int,
        channels: Sequence[int],
        kernels: Sequence[Sequence[int]],
        strides: Sequence[Sequence[int]],
        convolutions: Sequence[int],
        decoder_convolutions: Sequence[int],
        bias: bool = True,
        eps: float = 1e-5,
        slope: float = 0.01,
    ):
        super().__init__()
        how = {"bias": bias, "eps": eps, "slope": slope}
        inputs = [1, *channels[:-1]]
        levels = zip(inputs, channels, kernels, strides, convolutions, strict=True)
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.stages = nn.ModuleList(nn.Sequential(_Stage(*level, **how)) for level in levels)
        ups = list(zip(channels[:0:-1], channels[-2::-1], map(tuple, strides[:0:-1]), strict=True))
        self.decoder.transpconvs = nn.ModuleList(
            nn.ConvTranspose3d(deep, out, stride, stride, bias=bias) for deep, out, stride in ups
        )
        of_stages = zip(ups, kernels[-2::-1], decoder_convolutions, strict=True)
        self.decoder.stages = nn.ModuleList(
            _Stage(2 * out, out, kernel, (1, 1, 1), count, **how) for (_, out, _), kernel, count in of_stages
        )
        # Heads of deeper levels, which only training needs, have no place here.
        self.decoder.seg_layers = nn.ModuleDict({str(len(ups) - 1): nn.Conv3d(channels[0], labels, 1)})

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See the class."""
        skips = []
        for stage in self.encoder.stages:
            image = stage(image)
            skips.append(image)
        skips.pop()
        for up, stage in zip(self.decoder.transpconvs, self.decoder.stages, strict=True):
            image = stage(torch.cat([up(image), skips.pop()], dim=1))
        (head,) = self.decoder.seg_layers.values()
        return head(image)


class _Stage(nn.Module):
    def __init__(self, inner: int, outer: int, kernel, stride, count: int, **how):
        super().__init__()
        steps = [(inner, stride), *[(outer, (1, 1, 1))] * (count - 1)]
        self.convs = nn.Sequential(
            *(_Convolution(width, outer, kernel, step, **how) for width, step in steps)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.convs(image)


class _Convolution(nn.Module):
    def __init__(self, inner: int, outer: int, kernel, stride, bias: bool, eps: float, slope: float):
        super().__init__()
        padding = tuple((size - 1) // 2 for size in kernel)
        self.conv = nn.Conv3d(inner, outer, tuple(kernel), tuple(stride), padding, bias=bias)
        self.norm = nn.InstanceNorm3d(outer, eps=eps, affine=True)
        self.slope = slope

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return nn.functional.leaky_relu(self.norm(self.conv(image)), self.slope)
