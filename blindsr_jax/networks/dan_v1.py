"""Restorer and Estimator of DANv1 (NeurIPS 2020), and of the compact DANs that share its block."""

from __future__ import annotations

import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.networks import canvas, pooling
from blindsr_jax.networks.chain import Chain
from blindsr_jax.networks.layers import (
    ChannelAttention,
    conv,
    interpolation_skip,
    lrelu,
    torch_uniform,
)
from blindsr_jax.networks.upsampling import Upsampler
from blindsr_jax.ops.convolution import convolve

_AROUND = ((1, 1), (1, 1))


class ConditionedConv(nn.Module):
    """A 3×3 convolution of features joined with a condition: a map of its own, or a code that is the same everywhere.

    A code contributes the same to every pixel, save on the border, where it meets the zeros outside. So it is convolved
    on a 3×3 map, which is then spread over the image: the same numbers as if the code were stretched, for less work.

    Attributes:
      features: output channels.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array) -> jax.Array:
        """[B, H, W, C] and [B, H, W, L] or [B, L] to [B, H, W, features]."""
        channels = x.shape[-1]
        kernel = self.param("kernel", torch_uniform, (3, 3, channels + condition.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).reshape(1, 1, 1, -1)
        if condition.ndim == 4:
            joined, shared = jnp.concatenate([x, condition], axis=-1), bias
        else:
            joined, shared = x, _stretched(condition, kernel[:, :, channels:], x) + bias
            kernel = kernel[:, :, :channels]
        return canvas.keep((convolve(joined, kernel.astype(x.dtype), _AROUND) + shared).astype(x.dtype))


def _stretched(code: jax.Array, kernel: jax.Array, x: jax.Array) -> jax.Array:
    """A code [B, L] that is the same at all pixels of the image in a map, convolved."""
    (height, width), image = x.shape[1:3], canvas.extent(x)
    if image is None:
        small = jnp.broadcast_to(code[:, None, None], (code.shape[0], min(height, 3), min(width, 3), code.shape[1]))
        return _spread(_spread(convolve(small, kernel, _AROUND), height, 1), width, 2)
    with canvas.holding((3, 3), tuple(jnp.minimum(length, 3) for length in image)):
        small = canvas.keep(jnp.broadcast_to(code[:, None, None], (code.shape[0], 3, 3, code.shape[1])))
    rows = _spread_until(convolve(small, kernel, _AROUND), height, image[0] - 1, 1)
    rows = jax.lax.optimization_barrier(rows)  # else XLA makes them anew for every pixel, which takes 15 times as long
    return _spread_until(rows, width, image[1] - 1, 2)


def _spread(x: jax.Array, length: int, axis: int) -> jax.Array:
    """Three pixels to so many: the first and the last stay at the ends, the middle one fills the rest."""
    if length <= 3:
        return x
    first, middle, last = jnp.split(x, 3, axis)
    return jnp.concatenate([first, jnp.repeat(middle, length - 2, axis), last], axis)


def _spread_until(x: jax.Array, length: int, last: jax.Array, axis: int) -> jax.Array:
    """As ``_spread``, on a canvas of so many pixels whose image ends with pixel ``last``."""
    place = jnp.arange(length).reshape([-1 if i == axis else 1 for i in range(4)])
    first, middle, _ = jnp.split(x, 3, axis)
    end = jax.lax.dynamic_slice_in_dim(x, jnp.minimum(last, 2), 1, axis)
    return jnp.where(place == 0, first, jnp.where(place == last, end, middle))


class CRB(nn.Module):
    """Conditional residual block (DAN eq. 5): basic + attention(conv(lrelu(conv([basic, cond])))).

    ``cond``, a map or a code (see ``ConditionedConv``), is passed on unchanged, so that blocks chain.
    """

    @nn.compact
    def __call__(self, basic: jax.Array, cond: jax.Array) -> tuple[jax.Array, jax.Array]:
        features = basic.shape[-1]
        y = lrelu(ConditionedConv(features + cond.shape[-1], name="conv1")(basic, cond))
        y = conv(features, 3, name="conv2")(y)
        return basic + ChannelAttention(name="attention")(y), cond


class Restorer(nn.Module):
    """An image from an LR image and a kernel code, which every pixel sees (SRMD's way).

    Attributes:
      scale: 2, 3 or 4.
      features: channels of the body.
      blocks: number of CRBs.
      upsampler: see ``upsampling.Upsampler``.
      skip: interpolation of the LR image added to the output, see ``layers.interpolation_skip``; DANv1 has none.
    """

    scale: int
    features: int = 64
    blocks: int = 40
    upsampler: typing.Literal["stages", "single"] = "stages"
    skip: typing.Literal["none", "nearest", "bicubic"] = "none"

    @nn.compact
    def __call__(self, lr: jax.Array, code: jax.Array) -> jax.Array:
        x = conv(self.features, 3, name="head")(lr)
        x, _ = Chain(CRB, self.blocks, name="body")(x, code)
        x = conv(self.features, 3, name="fusion")(x)
        sr = Upsampler(self.scale, self.upsampler, name="upscale")(x)
        return sr + interpolation_skip(lr, self.scale, self.skip)


class Estimator(nn.Module):
    """A kernel code from a restored image, brought to LR size by a strided convolution, and the LR image.

    Attributes:
      scale: 2, 3 or 4.
      code_length: L.
      features: channels of each input's path.
      blocks: number of CRBs.
    """

    scale: int
    code_length: int
    features: int = 32
    blocks: int = 5
    predicts: typing.ClassVar[str] = "code"

    @nn.compact
    def __call__(self, sr: jax.Array, lr: jax.Array) -> jax.Array:
        basic = conv(self.features, 1, name="head_lr")(lr)
        cond = conv(self.features, 9, stride=self.scale, name="head_hr")(sr)
        basic, _ = Chain(CRB, self.blocks, name="body")(basic, cond)
        return pooling.mean(conv(self.code_length, 3, last=True, name="out")(basic))[:, 0, 0]
