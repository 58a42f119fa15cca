"""DANv1 (NeurIPS 2020) and DANv2 (arXiv 2105.06878)."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.peers.layers import conv, l1, lrelu, upsampler

Tensors = dict[str, torch.Tensor]
Pair = tuple[torch.Tensor, torch.Tensor]


class DAN(nn.Module):
    """Restorer and Estimator in turn, each with its input detached.

    Args:
      version: 1 or 2.
      scale: s.
      kernel_size, code_length: K, L.
      iterations: T.
      **sizes: sizes by the names of the package's builders; the papers' by default.
    """

    supervises_all = False

    def __init__(self, version: int, scale: int, *, kernel_size=21, code_length=10, iterations=4, **sizes: int):
        super().__init__()
        self.iterations, self.version, self.kernel_size = iterations, version, kernel_size
        features, small = sizes.get("features", 64), sizes.get("estimator_features", 32)
        few = sizes.get("estimator_blocks", 5)
        if version == 1:
            self.Restorer = RestorerV1(scale, code_length, features, sizes.get("blocks", 40))
            self.Estimator = EstimatorV1(scale, code_length, small, few)
        else:
            groups, blocks = sizes.get("groups", 5), sizes.get("blocks", 10)
            self.Restorer = RestorerV2(scale, code_length, features, groups, blocks)
            self.Estimator = EstimatorV2(scale, kernel_size**2, small, few)
        self.register_buffer("encoder", torch.zeros(1, kernel_size**2, code_length))
        self.register_buffer("init_kernel", torch.zeros(1, kernel_size, kernel_size))
        self.register_buffer("init_ker_map", torch.zeros(1, code_length))

    def start(self, lr: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The Dirac kernel's code [B, L]."""
        return (self.init_ker_map.repeat(lr.shape[0], 1),)

    def step(self, state: tuple[torch.Tensor, ...], lr: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], Tensors]:
        """Restore the image with the last code, then estimate the code (v2: the kernel and its code) from the image."""
        sr = self.Restorer(lr, state[0].detach())
        prediction = self.Estimator(sr.detach(), lr)
        if self.version == 1:
            return (prediction,), {"sr": sr, "code": prediction}
        code = prediction @ self.encoder[0]
        return (code,), {"sr": sr, "code": code, "kernel": prediction}

    def final_image(self, steps: list[Tensors]) -> torch.Tensor:
        """The last step's image."""
        return steps[-1]["sr"]

    def truth(self, hr: torch.Tensor, lr: torch.Tensor, kernel: torch.Tensor) -> Tensors:
        """The targets of a step's estimates."""
        flat = kernel.flatten(1)
        return {"sr": hr, "code": flat @ self.encoder[0]} if self.version == 1 else {"sr": hr, "kernel": flat}

    def loss(self, estimate: Tensors, truth: Tensors) -> torch.Tensor:
        """L1 of the image and of the code (v2: of the kernel)."""
        return sum(l1(estimate[name], target) for name, target in truth.items())


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


class RestorerV1(nn.Module):
    """The SR image from the LR image and the code [B, L]."""

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


class EstimatorV1(nn.Module):
    """The code [B, L] from the restored and the LR image."""

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
    """A chain of DPCBs. It doubles both paths at its end, because the authors' code does."""

    def __init__(self, channels: int, blocks: int, kernel_f: int, kernel_g: int):
        super().__init__()
        self.body = nn.ModuleList(DPCB(channels, kernel_f, kernel_g) for _ in range(blocks))

    def forward(self, f: torch.Tensor, g: torch.Tensor) -> Pair:
        for block in self.body:
            f, g = block(f, g)
        return 2 * f, 2 * g


class RestorerV2(nn.Module):
    """The SR image from the LR image and the code [B, L]. The code stays one pixel in size."""

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


class EstimatorV2(nn.Module):
    """The kernel [B, K²] from the restored and the LR image, normalised by a softmax."""

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
