"""Layers of all networks. Attributes have the names of the authors' checkpoints; arrays are [B, C, H, W]."""

from __future__ import annotations

import torch
from torch import nn


def conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int | None = None, bias: bool = True
) -> nn.Conv2d:
    """A square convolution. The default padding keeps the size at stride 1."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 if padding is None else padding, bias=bias)


def lrelu(slope: float = 0.2) -> nn.LeakyReLU:
    """Leaky ReLU, in place as in the authors' code. The slope is that of DAN and DSSR by default."""
    return nn.LeakyReLU(slope, inplace=True)


def upsampler(features: int, scale: int) -> nn.Module:
    """Sub-pixel stages (two of ×2 for ×4) and a convolution to the image. At ×1 only that convolution."""
    layers: list[nn.Module] = []
    for factor in {1: (), 2: (2,), 3: (3,), 4: (2, 2)}[scale]:
        layers += [conv(features, features * factor**2, 3), nn.PixelShuffle(factor)]
    last = conv(features, 3, 3)
    return nn.Sequential(*layers, last) if layers else last


def l1(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference."""
    return (a - b).abs().mean()
