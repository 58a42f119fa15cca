"""ResUNet: the U-Net of residual blocks that is USRNet's prior and, as DRUNet, DPIR's denoiser."""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.networks.chain import Chain
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.layers import ConvTranspose, conv, torch_uniform


class ResBlock(nn.Module):
    """x + conv(relu(conv(x))).

    Attributes:
      bias: whether the convolutions have one.
      compute: see ``networks.compute``.
    """

    bias: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        convolution = functools.partial(conv, x.shape[-1], 3, bias=self.bias, compute=self.compute)
        return x + convolution(name="conv2")(nn.relu(convolution(name="conv1")(x)))


def _carrying(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """Random weights, but the first three channels that come out, or as many as there are, are the first that go in."""
    carried = jnp.eye(*(min(3, channels) for channels in shape[2:]), dtype=dtype)
    rows, columns = carried.shape
    weights = torch_uniform(key, shape, dtype).at[..., :columns].set(0)
    return weights.at[shape[0] // 2, shape[1] // 2, :rows, :columns].set(carried)


def _faint(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """A tenth of the usual random weights."""
    return 0.1 * torch_uniform(key, shape, dtype)


class ResUNet(nn.Module):
    """U-Net over several sizes (the authors have four), each half the one before; skips are added, not concatenated.

    Between sizes stand 2×2 convolutions of stride 2, and their transposes. Inputs are padded to whole multiples of the
    smallest size by repeating their last row and column, and cut again (USRNet, CVPR 2020, section 3.3; DPIR, TPAMI
    2021, section 3).

    Before training it returns nearly the image it is given (ours; the authors start from orthogonal weights of gain
    0.2): a solver then starts as repeated data steps without a prior, and learns within minutes what helps them.

    Attributes:
      features: channels at each size (the papers' nc).
      blocks: residual blocks at each size, on the way down and on the way up (nb).
      out_channels: channels of the result.
      bias: whether the convolutions have one; the published weights have none.
      compute: see ``networks.compute``.
    """

    features: tuple[int, ...] = (64, 128, 256, 512)
    blocks: int = 2
    out_channels: int = 3
    bias: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, H, W, out_channels]."""
        height, width = x.shape[1:3]
        depth, options = len(self.features) - 1, {"bias": self.bias, "compute": self.compute}
        residual = functools.partial(Chain, functools.partial(ResBlock, **options), self.blocks, self.compute)
        pad = [(0, -size % 2**depth) for size in (height, width)]
        x = jnp.pad(x, ((0, 0), *pad, (0, 0)), mode="edge")
        x = conv(self.features[0], 3, kernel_init=_carrying, name="head", **options)(x)
        skips = [x]
        for level in range(1, depth + 1):
            x = residual(name=f"encode{level}")(x)
            x = conv(self.features[level], 2, stride=2, padding=0, name=f"down{level}", **options)(x)
            skips.append(x)
        x = residual(name="body")(x)
        for level in range(depth, 0, -1):
            x = x + skips[level]
            initial = _faint if level == 1 else torch_uniform
            up = ConvTranspose(self.features[level - 1], 2, 0, 2, kernel_init=initial, name=f"up{level}", **options)
            x = up(x)
            x = residual(name=f"decode{level}")(x)
        x = conv(self.out_channels, 3, kernel_init=_carrying, name="tail", **options)(x + skips[0])
        return x[:, :height, :width]


def with_level(x: jax.Array, level: jax.Array | float) -> jax.Array:
    """Images [B, H, W, C] with one more channel, which holds a level everywhere; a number, or [B]."""
    level = jnp.reshape(jnp.asarray(level, x.dtype), (-1, 1, 1, 1))
    return jnp.concatenate([x, jnp.broadcast_to(level, (*x.shape[:3], 1))], axis=-1)
