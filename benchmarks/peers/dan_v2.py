"""Restorer and Estimator of DANv2: two paths, one for the image, one for the condition."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.peers.layers import conv, lrelu, upsampler

Pair = tuple[torch.Tensor, torch.Tensor]


def _two_convolutions(channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(conv(channels, channels, kernel), lrelu(), conv(channels, channels, kernel))


class DPCB(nn.Module):
    """f + F·G and g + G, where F and G are two convolutions of each path."""

    def __init__(self, channels: int, kernel_f: int, kernel_g: int):
        super().__init__()
        self.body1 = _two_convolutions(channels, kernel_f)
        self.body2 = _two_convolutions(channels, kernel_g)

    def forward(self, f: torch.Tensor, g: torch.Tensor) -> Pair:
        residual = self.body2(g)
        return f + self.body1(f) * residual, g + residual


class DPCG(nn.Module):
    """A chain of DPCBs; both paths doubled at its end, which is what the authors' code computes."""

    def __init__(self, channels: int, blocks: int, kernel_f: int, kernel_g: int):
        super().__init__()
        self.body = nn.ModuleList(DPCB(channels, kernel_f, kernel_g) for _ in range(blocks))

    def forward(self, f: torch.Tensor, g: torch.Tensor) -> Pair:
        for block in self.body:
            f, g = block(f, g)
        return 2 * f, 2 * g


class Restorer(nn.Module):
    """Image from LR image and code [B, L], which stays one pixel large."""

    def __init__(self, scale: int, code_length: int, features: int, groups: int, blocks: int):
        super().__init__()
        self.head1 = conv(3, features, 3)
        self.head2 = conv(code_length, features, 1)
        self.body = nn.ModuleList(DPCG(features, blocks, 3, 1) for _ in range(groups))
        self.fusion = conv(features, features, 3)
        self.upscale = upsampler(features, scale)

    def forward(self, lr: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        f, g = self.head1(lr), self.head2(code[:, :, None, None])
        for group in self.body:
            f, g = group(f, g)
        return self.upscale(self.fusion(f))


class Estimator(nn.Module):
    """Kernel [B, K²], a softmax, from restored and LR image."""

    def __init__(self, scale: int, outputs: int, features: int, blocks: int):
        super().__init__()
        self.head_LR = nn.Sequential(conv(3, features, 5))
        self.head_HR = nn.Sequential(conv(3, features, 4 * scale + 1, scale))
        self.body = DPCG(features, blocks, 3, 3)
        pool, softmax = nn.AdaptiveAvgPool2d(1), nn.Softmax(dim=1)
        self.tail = nn.Sequential(conv(features, 2 * features, 3), pool, conv(2 * features, outputs, 1), softmax)

    def forward(self, sr: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
        f, _ = self.body(self.head_LR(lr), self.head_HR(sr))
        return self.tail(f).flatten(1)


def restorer(scale: int, code_length: int, sizes: dict[str, int]) -> Restorer:
    """Of the paper's size unless ``features``, ``groups`` or ``blocks`` say otherwise."""
    features, groups, blocks = sizes.get("features", 64), sizes.get("groups", 5), sizes.get("blocks", 10)
    return Restorer(scale, code_length, features, groups, blocks)


def estimator(scale: int, outputs: int, sizes: dict[str, int]) -> Estimator:
    """Of the paper's size unless ``estimator_features`` or ``estimator_blocks`` say otherwise."""
    return Estimator(scale, outputs, sizes.get("estimator_features", 32), sizes.get("estimator_blocks", 5))
