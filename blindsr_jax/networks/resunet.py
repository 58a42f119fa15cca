"""ResUNet: a U-Net of residual blocks, used as USRNet's prior and, in DRUNet, as DPIR's denoiser."""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.networks.chain import Chain
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.layers import ConvTranspose, conv
from blindsr_jax.networks.parameters import torch_uniform


class ResBlock(nn.Module):
    """x + conv(relu(conv(x))).

    Attributes:
      bias: add biases to the convolutions.
      compute: see ``networks.compute``.
    """

    bias: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        convolution = functools.partial(conv, x.shape[-1], 3, bias=self.bias, compute=self.compute)
        return x + convolution(name="conv2")(nn.relu(convolution(name="conv1")(x)))


def _identity_init(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """Random weights, except that the first output channels, at most three, copy the first input channels."""
    identity = jnp.eye(*(min(3, channels) for channels in shape[2:]), dtype=dtype)
    rows, columns = identity.shape
    weights = torch_uniform(key, shape, dtype).at[..., :columns].set(0)
    return weights.at[shape[0] // 2, shape[1] // 2, :rows, :columns].set(identity)


def _small_init(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """Random weights at a tenth of the usual scale."""
    return 0.1 * torch_uniform(key, shape, dtype)


class ResUNet(nn.Module):
    """U-Net over several resolutions (four in the papers), each half the previous one. Skips are added.

    2×2 convolutions of stride 2 reduce the resolution, and transposed ones raise it. Inputs whose sides are not
    multiples of the total reduction are padded by repeating the last row and column. The result is cropped (USRNet,
    CVPR 2020, section 3.3; DPIR, TPAMI 2021, section 3).

    Before training the network nearly returns its input (our choice; the authors use orthogonal weights with gain 0.2).
    A solver then starts as repeated data steps without a prior and learns a useful prior within minutes.

    Attributes:
      features: channels at each resolution (nc in the papers).
      blocks: residual blocks at each resolution, on the way down and on the way up (nb).
      out_channels: channels of the result.
      bias: add biases to the convolutions; the published weights have none.
      compute: see ``networks.compute``.
    """

    features: tuple[int, ...] = (64, 128, 256, 512)
    blocks: int = 2
    out_channels: int = 3
    bias: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map [B, H, W, C] to [B, H, W, out_channels]."""
        height, width = x.shape[1:3]
        depth, options = len(self.features) - 1, {"bias": self.bias, "compute": self.compute}
        residual = functools.partial(Chain, functools.partial(ResBlock, **options), self.blocks, self.compute)
        pad = [(0, -size % 2**depth) for size in (height, width)]
        x = jnp.pad(x, ((0, 0), *pad, (0, 0)), mode="edge")
        x = conv(self.features[0], 3, kernel_init=_identity_init, name="head", **options)(x)
        skips = [x]
        for level in range(1, depth + 1):
            x = residual(name=f"encode{level}")(x)
            x = conv(self.features[level], 2, stride=2, padding=0, name=f"down{level}", **options)(x)
            skips.append(x)
        x = residual(name="body")(x)
        for level in range(depth, 0, -1):
            x = x + skips[level]
            initial = _small_init if level == 1 else torch_uniform
            up = ConvTranspose(self.features[level - 1], 2, 0, 2, kernel_init=initial, name=f"up{level}", **options)
            x = up(x)
            x = residual(name=f"decode{level}")(x)
        x = conv(self.out_channels, 3, kernel_init=_identity_init, name="tail", **options)(x + skips[0])
        return x[:, :height, :width]


def with_level(x: jax.Array, level: jax.Array | float) -> jax.Array:
    """Append a constant channel to images [B, H, W, C]: the noise level, a number or [B]."""
    level = jnp.reshape(jnp.asarray(level, x.dtype), (-1, 1, 1, 1))
    return jnp.concatenate([x, jnp.broadcast_to(level, (*x.shape[:3], 1))], axis=-1)
