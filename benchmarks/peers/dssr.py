"""DSSR (Li et al., IEEE TMM 2022): detail and structure in turn, without kernel estimation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.peers.layers import conv, l1, lrelu, upsampler

Tensors = dict[str, torch.Tensor]
# Size, stride and padding of the convolutions between LR and HR size, by scale.
_RESAMPLING = {2: (4, 2, 1), 3: (5, 3, 1), 4: (4, 4, 0)}


class ResBlock(nn.Module):
    """x + 0.2·conv(lrelu(conv(x)))."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1, self.conv2, self.relu = conv(channels, channels, 3), conv(channels, channels, 3), lrelu()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.2 * self.conv2(self.relu(self.conv1(x)))


class Chain(nn.Module):
    """Residual blocks with a skip connection around them."""

    def __init__(self, channels: int, blocks: int):
        super().__init__()
        self.crb = nn.Sequential(*(ResBlock(channels) for _ in range(blocks)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.crb(x)


class AffineTransform(nn.Module):
    """Scale and shift from features of the detail map."""

    def __init__(self, channels: int):
        super().__init__()
        for i in range(1, 5):
            self.add_module(f"conv{i}", conv(channels, channels, 3))
        self.conv_gama, self.conv_beta = conv(channels, channels, 1), conv(channels, channels, 1)
        self.relu = lrelu()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = self.relu(layer(x))
        return torch.sigmoid(self.conv_gama(x)), self.conv_beta(x)


class DSSR(nn.Module):
    """T steps with a hidden state. The result is the mean of their images.

    Args:
      scale: 2, 3 or 4.
      features, blocks, refine_blocks, iterations: the paper's by default.
    """

    supervises_all = True

    def __init__(self, scale: int, *, features=128, blocks=15, refine_blocks=5, iterations=4):
        super().__init__()
        self.scale, self.iterations = scale, iterations
        self.conv1 = conv(3, features, 3)
        self.compress_in = conv(2 * features, features, 1)
        self.feat_ext = nn.ModuleDict({"crb": Chain(features, blocks)})
        self.up = nn.ConvTranspose2d(features, features, *_RESAMPLING[scale])
        self.down = conv(features, features, *_RESAMPLING[scale])
        self.conv_recon, self.conv2 = conv(features, 3, 3), conv(3, features, 3)
        self.spatial_trans1, self.spatial_trans2 = AffineTransform(features), AffineTransform(features)
        self.feat_refine = nn.ModuleDict({"crb": Chain(features, refine_blocks)})
        self.UPNet = upsampler(features, scale)

    def start(self, lr: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The initial state: shallow features, the same as the hidden state, and the interpolated image."""
        x = self.conv1(lr)
        return x, x, self._base(lr)

    def step(self, state: tuple[torch.Tensor, ...], lr: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], Tensors]:
        """Predict the detail, modulate the features with it, and restore the image from them."""
        x, hidden, base = state
        x = self.compress_in(torch.cat([x, hidden], dim=1))
        features = self.feat_ext["crb"](x)
        enlarged = self.up(features)
        detail = self.conv_recon(enlarged) - base
        detail_features = self.conv2(detail)
        gamma, beta = self.spatial_trans1(detail_features)
        structure = enlarged * gamma + beta + enlarged
        reduced = F.interpolate(detail_features, lr.shape[2:], mode="bicubic", align_corners=True)
        gamma, beta = self.spatial_trans2(reduced)
        hidden = self.down(structure) * gamma + beta + features
        sr = self.UPNet(self.feat_refine["crb"](hidden)) + base
        return (x, hidden, base), {"sr": sr, "detail": detail}

    def final_image(self, steps: list[Tensors]) -> torch.Tensor:
        """The mean over all steps."""
        return torch.stack([step["sr"] for step in steps]).mean(dim=0)

    def truth(self, hr: torch.Tensor, lr: torch.Tensor, kernel: torch.Tensor) -> Tensors:
        """The HR image, and its difference from the interpolated LR image."""
        return {"sr": hr, "detail": hr - self._base(lr)}

    def loss(self, estimate: Tensors, truth: Tensors) -> torch.Tensor:
        """L1 of image and detail."""
        return sum(l1(estimate[name], target) for name, target in truth.items())

    def _base(self, lr: torch.Tensor) -> torch.Tensor:
        return F.interpolate(lr, scale_factor=self.scale, mode="bicubic", align_corners=False)
