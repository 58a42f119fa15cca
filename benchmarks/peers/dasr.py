"""DASR (Wang et al., CVPR 2021): an image restored with a representation of its degradation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.peers.layers import conv, lrelu, upsampler

Tensors = dict[str, torch.Tensor]
_SLOPE, _GATE, _LEVELS = 0.1, 8, 255
_MEAN = (0.4488, 0.4371, 0.4040)


class DASR(nn.Module):
    """One pass: representation, then image. As in the authors' code, images are 0 … 255 inside.

    Args:
      scale: s.
      features, code_features, groups, blocks, encoder_features: the paper's by default.
    """

    supervises_all = False
    iterations = 1

    def __init__(
        self,
        scale: int,
        *,
        features: int = 64,
        code_features: int = 64,
        groups: int = 5,
        blocks: int = 5,
        encoder_features: tuple[int, ...] = (64, 128, 256),
    ):
        super().__init__()
        self.G = Restorer(scale, features, code_features, groups, blocks, encoder_features[-1])
        self.E = nn.ModuleDict({"encoder_q": Encoder(*encoder_features)})
        self.eval()  # batch normalisation with stored statistics

    def start(self, lr: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Nothing: there is one step."""
        return ()

    def step(self, state: tuple[torch.Tensor, ...], lr: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], Tensors]:
        """Describe the degradation, and restore the image."""
        lr = _LEVELS * lr
        representation = self.E["encoder_q"](lr)
        return (), {"sr": self.G(lr, representation) / _LEVELS, "representation": representation}

    def final_image(self, steps: list[Tensors]) -> torch.Tensor:
        """The image."""
        return steps[-1]["sr"]


class Encoder(nn.Module):
    """The representation [B, C], the mean of six normalised convolutions. ``mlp`` served the contrastive loss only."""

    def __init__(self, first: int, second: int, third: int):
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs, stride in ((first, 1), (first, 1), (second, 2), (second, 1), (third, 2), (third, 1)):
            layers += [conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs), lrelu(_SLOPE)]
            inputs = outputs
        self.E = nn.Sequential(*layers)
        self.mlp = nn.Sequential(nn.Linear(third, third), lrelu(_SLOPE), nn.Linear(third, third))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.E(x).mean(dim=(2, 3))


class Gate(nn.Module):
    """A factor for each channel, made of the code [B, L] alone."""

    def __init__(self, code_features: int, channels: int):
        super().__init__()
        narrow = max(channels // _GATE, 1)
        first, last = conv(code_features, narrow, 1, bias=False), conv(narrow, channels, 1, bias=False)
        self.conv_du = nn.Sequential(first, lrelu(_SLOPE), last, nn.Sigmoid())

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        return self.conv_du(code[:, :, None, None])


class DAConv(nn.Module):
    """conv(lrelu(x ⊛ kernels)) + x · gate, with depthwise 3×3 kernels and a gate made of the code [B, L]."""

    def __init__(self, channels: int, code_features: int):
        super().__init__()
        first, last = (nn.Linear(code_features, n, bias=False) for n in (code_features, 9 * channels))
        self.kernel = nn.Sequential(first, lrelu(_SLOPE), last)
        self.conv = conv(channels, channels, 1)
        self.ca = Gate(code_features, channels)

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        kernels = self.kernel(code).reshape(batch * channels, 1, 3, 3)
        y = F.conv2d(x.reshape(1, -1, height, width), kernels, groups=batch * channels, padding=1)
        y = F.leaky_relu(y, _SLOPE).reshape(batch, channels, height, width)
        return self.conv(y) + x * self.ca(code)


class DABlock(nn.Module):
    """x + conv(lrelu(DA(lrelu(conv(lrelu(DA(x)))))))."""

    def __init__(self, channels: int, code_features: int):
        super().__init__()
        self.da_conv1, self.da_conv2 = DAConv(channels, code_features), DAConv(channels, code_features)
        self.conv1, self.conv2 = conv(channels, channels, 3), conv(channels, channels, 3)
        self.relu = lrelu(_SLOPE)

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.conv1(self.relu(self.da_conv1(x, code))))
        return x + self.conv2(self.relu(self.da_conv2(y, code)))


class DAGroup(nn.Module):
    """Blocks and a convolution, with a skip connection around them."""

    def __init__(self, channels: int, code_features: int, blocks: int):
        super().__init__()
        chain = [DABlock(channels, code_features) for _ in range(blocks)]
        self.body = nn.ModuleList([*chain, conv(channels, channels, 3)])

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        y = x
        for block in self.body[:-1]:
            y = block(y, code)
        return x + self.body[-1](y)


class Restorer(nn.Module):
    """The SR image of 0 … 255 from such an LR image and the representation [B, C]."""

    def __init__(self, scale: int, features: int, code_features: int, groups: int, blocks: int, representation: int):
        super().__init__()
        self.sub_mean, self.add_mean = (_shift(sign * _LEVELS) for sign in (-1, 1))
        self.head = nn.Sequential(conv(3, features, 3))
        self.compress = nn.Sequential(nn.Linear(representation, code_features, bias=False), lrelu(_SLOPE))
        chain = [DAGroup(features, code_features, blocks) for _ in range(groups)]
        self.body = nn.ModuleList([*chain, conv(features, features, 3)])
        *stages, last = upsampler(features, scale)
        self.tail = nn.Sequential(nn.Sequential(*stages), last)

    def forward(self, lr: torch.Tensor, representation: torch.Tensor) -> torch.Tensor:
        code = self.compress(representation)
        x = shallow = self.head(self.sub_mean(lr))
        for group in self.body[:-1]:
            x = group(x, code)
        return self.add_mean(self.tail(self.body[-1](x) + shallow))


def _shift(by: float) -> nn.Conv2d:
    """A fixed convolution that adds a multiple of the mean colour."""
    layer = conv(3, 3, 1).requires_grad_(False)
    layer.weight.copy_(torch.eye(3)[..., None, None])
    layer.bias.copy_(by * torch.tensor(_MEAN))
    return layer
