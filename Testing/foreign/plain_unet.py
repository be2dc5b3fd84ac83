"""A network whose parts are named as those of nnU-Net's PlainConvUNet, for checkpoints in tests."""

import torch
from torch import nn


def block(inner: int, outer: int, kernel: list[int], stride: list[int]) -> nn.Module:
    one = nn.Module()
    one.conv = nn.Conv3d(inner, outer, kernel, stride, [(k - 1) // 2 for k in kernel], bias=True)
    one.norm = nn.InstanceNorm3d(outer, affine=True)
    one.all_modules = nn.Sequential(one.conv, one.norm, nn.LeakyReLU(0.01))
    return one


def stage(inner: int, outer: int, kernel: list[int], stride: list[int]) -> nn.Module:
    one = nn.Module()
    one.convs = nn.Sequential(block(inner, outer, kernel, stride), block(outer, outer, kernel, [1, 1, 1]))
    return one


def apply(one: nn.Module, image: torch.Tensor) -> torch.Tensor:
    for part in one.convs:
        image = part.all_modules(image)
    return image


class PlainUnet(nn.Module):
    """Image (B, 1, ...) → logits (B, labels, ...)."""

    def __init__(self, channels: list[int], kernels: list, strides: list, labels: int):
        super().__init__()
        self.encoder, self.decoder = nn.Module(), nn.Module()
        inner = [1, *channels[:-1]]
        self.encoder.stages = nn.Sequential(
            *(nn.Sequential(stage(*of)) for of in zip(inner, channels, kernels, strides, strict=True))
        )
        self.decoder.encoder = self.encoder
        up = list(zip(channels[:0:-1], channels[-2::-1], strides[:0:-1], kernels[:-1][::-1], strict=True))
        self.decoder.transpconvs = nn.ModuleList(nn.ConvTranspose3d(a, b, s, s) for a, b, s, _ in up)
        self.decoder.stages = nn.ModuleList(stage(2 * b, b, k, [1, 1, 1]) for _, b, _, k in up)
        self.decoder.seg_layers = nn.ModuleList(nn.Conv3d(b, labels, 1) for _, b, _, _ in up)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        skips = []
        for (one,) in self.encoder.stages:
            image = apply(one, image)
            skips.append(image)
        for n, (up, one) in enumerate(zip(self.decoder.transpconvs, self.decoder.stages, strict=True)):
            image = apply(one, torch.cat([up(image), skips[-n - 2]], 1))
        return self.decoder.seg_layers[-1](image)
