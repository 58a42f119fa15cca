"""Restorer and Estimator of DANv1: conditional residual blocks, the code stretched over the image."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.peers.layers import conv, lrelu, upsampler


class ChannelAttention(nn.Module):
    """x · sigmoid(conv(lrelu(conv(mean(x)))))."""

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        narrow = max(channels // reduction, 1)
        self.body = nn.Sequential(conv(channels, narrow, 1), lrelu(), conv(narrow, channels, 1), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.body(x.mean(dim=(2, 3), keepdim=True))


class CRB(nn.Module):
    """basic + attention(conv(lrelu(conv([basic, cond]))))."""

    def __init__(self, basic: int, cond: int):
        super().__init__()
        both = basic + cond
        self.body = nn.Sequential(conv(both, both, 3), lrelu(), conv(both, basic, 3), ChannelAttention(basic))

    def forward(self, basic: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        return basic + self.body(torch.cat([basic, cond], dim=1))


class Restorer(nn.Module):
    """Image from LR image and code [B, L]."""

    def __init__(self, scale: int, code_length: int, features: int, blocks: int):
        super().__init__()
        self.head = conv(3, features, 3)
        self.body = nn.ModuleList(CRB(features, code_length) for _ in range(blocks))
        self.fusion = conv(features, features, 3)
        self.upscale = upsampler(features, scale)

    def forward(self, lr: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        stretched = code[:, :, None, None].expand(-1, -1, *lr.shape[2:])
        x = self.head(lr)
        for block in self.body:
            x = block(x, stretched)
        return self.upscale(self.fusion(x))


class Estimator(nn.Module):
    """Code [B, L] from restored and LR image."""

    def __init__(self, scale: int, code_length: int, features: int, blocks: int):
        super().__init__()
        self.head_LR = conv(3, features, 1)
        self.head_HR = conv(3, features, 9, scale, 4)
        self.body = nn.ModuleList(CRB(features, features) for _ in range(blocks))
        self.out = conv(features, code_length, 3)

    def forward(self, sr: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
        x, cond = self.head_LR(lr), self.head_HR(sr)
        for block in self.body:
            x = block(x, cond)
        return self.out(x).mean(dim=(2, 3))


def restorer(scale: int, code_length: int, sizes: dict[str, int]) -> Restorer:
    """Of the paper's size unless ``features`` or ``blocks`` say otherwise."""
    return Restorer(scale, code_length, sizes.get("features", 64), sizes.get("blocks", 40))


def estimator(scale: int, outputs: int, sizes: dict[str, int]) -> Estimator:
    """Of the paper's size unless ``estimator_features`` or ``estimator_blocks`` say otherwise."""
    return Estimator(scale, outputs, sizes.get("estimator_features", 32), sizes.get("estimator_blocks", 5))
