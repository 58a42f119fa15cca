"""DCLS (Luo et al., CVPR 2022): features deblurred with an estimated kernel by constrained least squares."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.peers.layers import conv, lrelu, upsampler

Tensors = dict[str, torch.Tensor]
Pair = tuple[torch.Tensor, torch.Tensor]
_SLOPE = 0.1
_FILTERS = {11: (7, 3, 3, 1), 21: (11, 7, 5, 1), 31: (11, 9, 7, 5, 3)}  # of the linear network, by K
_INSIDE = 16  # its channels


class DCLS(nn.Module):
    """One pass: kernel, then image. The kernel [B, K, K] is a convolution kernel, as in the authors' code.

    Args:
      scale: s.
      kernel_size, features, reduction, groups, blocks, latent_features: the authors' by default.
      kernel_softmax: as the authors' ×2 weights for setting 2 want.
    """

    supervises_all = False
    iterations = 1

    def __init__(
        self,
        scale: int,
        *,
        kernel_size: int = 21,
        features: int = 64,
        reduction: int = 4,
        groups: int = 5,
        blocks: int = 10,
        latent_features: int = 256,
        kernel_softmax: bool = False,
    ):
        super().__init__()
        self.Estimator = Estimator(kernel_size, features, latent_features, kernel_softmax)
        self.Restorer = Restorer(scale, features, features // reduction, groups, blocks)

    def start(self, lr: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Nothing: there is one step."""
        return ()

    def step(self, state: tuple[torch.Tensor, ...], lr: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], Tensors]:
        """Estimate the kernel, and restore the image with it."""
        kernel = self.Estimator(lr)
        return (), {"sr": self.Restorer(lr, kernel.detach()), "kernel": kernel}

    def final_image(self, steps: list[Tensors]) -> torch.Tensor:
        """The image."""
        return steps[-1]["sr"]


class ResBlock(nn.Module):
    """x + conv(lrelu(conv(x)))."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1, self.conv2 = conv(channels, channels, 3), conv(channels, channels, 3)
        self.relu = lrelu(_SLOPE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(self.relu(self.conv1(x)))


class Estimator(nn.Module):
    """The kernel [B, K, K]: the impulse response of a linear network whose filters a latent code gives."""

    def __init__(self, kernel_size: int, features: int, latent_features: int, softmax: bool):
        super().__init__()
        self.sizes, self.softmax = _FILTERS[kernel_size], softmax
        self.head = nn.Sequential(conv(3, features, 7))
        self.body = nn.Sequential(nn.Sequential(*(ResBlock(features) for _ in range(3))))
        first, second = (conv(features, features, 3, padding=0) for _ in range(2))
        pool, latent = nn.AdaptiveAvgPool2d(1), conv(features, latent_features, 1)
        self.tail = nn.Sequential(first, lrelu(_SLOPE), second, pool, latent)
        self.channels = [3, *[_INSIDE] * (len(self.sizes) - 1), 3]
        pairs = zip(self.channels[:-1], self.channels[1:], self.sizes)
        self.dec = nn.ModuleList(nn.Linear(latent_features, i * o * size**2) for i, o, size in pairs)

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        x = self.head(lr)
        latent = self.tail(x + self.body(x)).flatten(1)
        batch, reach = len(lr), sum(size - 1 for size in self.sizes)
        y = latent.new_ones(1, 3 * batch, 1, 1)
        for i, (layer, size) in enumerate(zip(self.dec, self.sizes)):
            weight = layer(latent).reshape(batch * self.channels[i + 1], self.channels[i], size, size)
            y = F.conv2d(y, weight, groups=batch, padding=0 if i else reach)
        kernel = y.reshape(batch, 3, *y.shape[2:]).flip(2, 3).mean(dim=1)
        if self.softmax:
            kernel = kernel.flatten(1).softmax(dim=1).reshape(kernel.shape)
        return kernel / kernel.sum(dim=(1, 2), keepdim=True)


class Deconvolution(nn.Module):
    """Features deblurred by constrained least squares, all channels in one Fourier transform."""

    def __init__(self, features: int, reduced: int):
        super().__init__()
        self.reduce_feature = conv(features, reduced, 1)
        first, second, third = (conv(reduced, reduced, 3, padding=0) for _ in range(3))
        pool, last = nn.AdaptiveAvgPool2d(3), conv(reduced, reduced, 1)
        self.grad_filter = nn.Sequential(first, lrelu(_SLOPE), second, lrelu(_SLOPE), third, pool, last)
        self.expand_feature = conv(reduced, features, 1)

    def forward(self, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        x, size = self.reduce_feature(x), kernel.shape[-1]
        smooth = self.grad_filter(x).exp()
        smooth = smooth - smooth.mean(dim=(2, 3), keepdim=True)
        padded = F.pad(x, (size,) * 4, mode="replicate")
        shape = padded.shape[2:]
        k, p = _transfer(kernel[:, None], shape), _transfer(smooth, shape)
        power = k.real**2 + k.imag**2 + p.real**2 + p.imag**2
        sharp = torch.fft.irfft2(k.conj() * torch.fft.rfft2(padded) / power, shape)
        return self.expand_feature(sharp[..., size:-size, size:-size])


def _transfer(weights: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """The Fourier transform of filters, with their centre at the first pixel of an image of a shape."""
    size, (height, width) = weights.shape[-1], shape
    padded = F.pad(weights, (0, width - size, 0, height - size))
    return torch.fft.rfft2(padded.roll((-(size // 2),) * 2, (2, 3)))


class ChannelAttention(nn.Module):
    """x · sigmoid(conv(relu(conv(mean(x)))))."""

    def __init__(self, channels: int):
        super().__init__()
        narrow = max(channels // 4, 1)
        relu = nn.ReLU(inplace=True)
        self.conv_du = nn.Sequential(conv(channels, narrow, 1), relu, conv(narrow, channels, 1), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.conv_du(x.mean(dim=(2, 3), keepdim=True))


class DPAB(nn.Module):
    """Dual-path attention block: the deblurred path sees both, the plain path itself alone."""

    def __init__(self, deblurred: int, plain: int):
        super().__init__()
        self.body1, self.body2 = (
            nn.Sequential(conv(n, n, 3), lrelu(_SLOPE), conv(n, n, 3)) for n in (deblurred, plain)
        )
        joint = conv(deblurred + plain, deblurred, 3)
        self.CA_body1 = nn.Sequential(lrelu(_SLOPE), joint, ChannelAttention(deblurred))
        self.CA_body2 = ChannelAttention(plain)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> Pair:
        residual_a, residual_b = self.body1(a), self.body2(b)
        joined = torch.cat([residual_a, residual_b], dim=1)
        return a + self.CA_body1(joined), b + self.CA_body2(residual_b)


class DPAG(nn.Module):
    """A chain of DPABs. It doubles both paths at its end, because the authors' code does."""

    def __init__(self, deblurred: int, plain: int, blocks: int):
        super().__init__()
        self.body = nn.ModuleList(DPAB(deblurred, plain) for _ in range(blocks))

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> Pair:
        for block in self.body:
            a, b = block(a, b)
        return 2 * a, 2 * b


class Restorer(nn.Module):
    """The SR image from the LR image and its kernel."""

    def __init__(self, scale: int, features: int, reduced: int, groups: int, blocks: int):
        super().__init__()
        self.conv_first = conv(3, features, 3)
        self.feature_block = nn.Sequential(*(ResBlock(features) for _ in range(3)))
        self.head1, self.head2 = conv(features, reduced, 3), Deconvolution(features, reduced)
        self.body = nn.ModuleList(DPAG(features, reduced, blocks) for _ in range(groups))
        self.fusion = conv(reduced + features, features, 3)
        self.upscale = upsampler(features, scale)

    def forward(self, lr: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        first = self.conv_first(lr)
        features = self.feature_block(first)
        a, b = self.head2(features, kernel), self.head1(features)
        for group in self.body:
            a, b = group(a, b)
        return self.upscale(self.fusion(torch.cat([b, a], dim=1)) + first).clamp(0, 1)
