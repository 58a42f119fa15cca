"""Restorer and Estimator of DANv1 (NeurIPS 2020) and of the compact DANs, which share its block."""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.networks.bands import across, cut
from blindsr_jax.networks.chain import Chain
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.dan import DAN, Condition
from blindsr_jax.networks.layers import (
    ChannelAttention,
    conv,
    interpolation_skip,
    lrelu,
)
from blindsr_jax.networks.parameters import Parametric, torch_uniform
from blindsr_jax.networks.region import Region, mask_outside, mean, number_of_bands, valid_size
from blindsr_jax.networks.upsampling import Upsampler
from blindsr_jax.ops.symbolic import is_symbolic

_AROUND = ((1, 1), (1, 1))


class ConditionedConv(Parametric):
    """A 3×3 convolution of features concatenated with a condition, which is a map or one code for all pixels.

    A code contributes the same value to every pixel except on the border, where zero padding changes the sum. So the
    code is convolved on a 3×3 map, whose values are then repeated over the image. The result equals that of a stretched
    code, for less work.

    Attributes:
      features: output channels.
      compute: see ``networks.compute``.
    """

    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array, region: Region | None = None) -> jax.Array:
        """[B, H, W, C] and [B, H, W, L] or [B, L] to [B, H, W, features]."""
        channels = x.shape[-1]
        kernel = self.param("kernel", torch_uniform, (3, 3, channels + condition.shape[-1], self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32).reshape(1, 1, 1, -1)
        if condition.ndim == 2 and is_symbolic(*x.shape[1:3]):  # exported: other tools know plain convolutions best
            condition = jnp.broadcast_to(condition[:, None, None], (*x.shape[:3], condition.shape[1]))
        if condition.ndim == 4:
            joined, shared = jnp.concatenate([x, condition], axis=-1), bias
        else:
            joined, shared = x, self._of_code(condition, kernel[:, :, channels:], x, region) + bias
            kernel = kernel[:, :, :channels]
        kernel = kernel.astype(x.dtype)
        y = across(lambda joined: self.compute.convolve(joined, kernel, _AROUND), joined, region, reach=1) + shared
        return mask_outside(y.astype(x.dtype), region)

    def _of_code(self, code: jax.Array, kernel: jax.Array, x: jax.Array, region: Region | None) -> jax.Array:
        """Convolve a map as large as x that holds the code [B, L] at every pixel of the image."""
        height, width, size = number_of_bands(region) * x.shape[1], x.shape[2], valid_size(region)
        if size is None:
            small = jnp.broadcast_to(code[:, None, None], (code.shape[0], min(height, 3), min(width, 3), code.shape[1]))
            return _stretch(cut(_stretch(self.compute.convolve(small, kernel, _AROUND), height, 1), region), width, 2)
        small = jnp.broadcast_to(code[:, None, None], (code.shape[0], 3, 3, code.shape[1]))
        small = mask_outside(small, Region(tuple(jnp.minimum(length, 3) for length in size)))
        rows = _stretch_until(self.compute.convolve(small, kernel, _AROUND), height, size[0] - 1, 1)
        rows = jax.lax.optimization_barrier(rows)  # otherwise XLA recomputes them for every pixel, 15x slower
        return _stretch_until(cut(rows, region), width, size[1] - 1, 2)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _stretch(x: jax.Array, length: int, axis: int) -> jax.Array:
    """Stretch three pixels to ``length``: the first and the last stay at the ends, the middle one is repeated."""
    return x if length <= 3 else _stretch_until(x, length, length - 1, axis)


def _stretch_forward(x: jax.Array, length: int, axis: int) -> tuple[jax.Array, None]:
    return _stretch(x, length, axis), None


def _stretch_backward(length: int, axis: int, _: None, g: jax.Array) -> tuple[jax.Array]:
    """Sum over the pixels where each of the three went, in the form that is fast on the device."""
    if length <= 3:
        return (g,)

    def by_slices(g: jax.Array) -> jax.Array:
        first, middle, last = jnp.split(g, [1, length - 1], axis)
        return jnp.concatenate([first, middle.sum(axis, keepdims=True), last], axis)

    def by_masks(g: jax.Array) -> jax.Array:
        like = jax.ShapeDtypeStruct([3 if i == axis else n for i, n in enumerate(g.shape)], g.dtype)
        return jax.linear_transpose(lambda x: _stretch_until(x, length, length - 1, axis), like)(g)[0]

    return (jax.lax.platform_dependent(g, cpu=by_slices, default=by_masks),)


_stretch.defvjp(_stretch_forward, _stretch_backward)


def _stretch_until(x: jax.Array, length: int, last: int | jax.Array, axis: int) -> jax.Array:
    """Stretch like ``_stretch`` for a padded image that ends with pixel ``last``."""
    place = jnp.arange(length).reshape([-1 if i == axis else 1 for i in range(4)])
    first, middle, _ = jnp.split(x, 3, axis)
    end = jax.lax.dynamic_slice_in_dim(x, jnp.minimum(last, 2), 1, axis)
    return jnp.where(place == 0, first, jnp.where(place == last, end, middle))


class CRB(nn.Module):
    """Conditional residual block (DAN eq. 5): basic + attention(conv(lrelu(conv([basic, cond])))).

    The block also returns ``cond``, a map or a code (see ``ConditionedConv``), unchanged, so that blocks form a chain.

    Attributes:
      compute: see ``networks.compute``.
    """

    compute: Compute = Compute()
    in_bands: typing.ClassVar[bool] = True  # see ``networks.bands``

    @nn.compact
    def __call__(self, basic: jax.Array, cond: jax.Array, region: Region | None = None) -> tuple[jax.Array, jax.Array]:
        features, compute = basic.shape[-1], self.compute
        y = lrelu(ConditionedConv(features + cond.shape[-1], compute, name="conv1")(basic, cond, region))
        y = conv(features, 3, compute=compute, name="conv2")(y, region)
        return basic + ChannelAttention(compute=compute, name="attention")(y, region), cond


class Restorer(nn.Module):
    """Restores an image from an LR image and a kernel code, which is an input at every pixel (as in SRMD).

    Attributes:
      scale: 2, 3 or 4.
      features: channels of the body.
      blocks: number of CRBs.
      upsampler: see ``upsampling.Upsampler``.
      skip: interpolated LR image that is added to the output, see ``layers.interpolation_skip``; DANv1 has none.
      compute: see ``networks.compute``.
    """

    scale: int
    features: int = 64
    blocks: int = 40
    upsampler: typing.Literal["stages", "single"] = "stages"
    skip: typing.Literal["none", "nearest", "bicubic"] = "none"
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, lr: jax.Array, code: jax.Array, region: Region | None = None) -> jax.Array:
        compute, block = self.compute, functools.partial(CRB, self.compute)
        x = conv(self.features, 3, compute=compute, name="head")(lr, region)
        x, _ = Chain(block, self.blocks, compute, name="body")(x, code, region=region)
        x = conv(self.features, 3, compute=compute, name="fusion")(x, region)
        sr = Upsampler(self.scale, self.upsampler, compute, name="upscale")(x, region)
        return sr + interpolation_skip(lr, self.scale, self.skip, region)


class Estimator(nn.Module):
    """Estimates a kernel code from the LR image and a restored image, which a strided convolution reduces to LR size.

    Attributes:
      scale: 2, 3 or 4.
      code_length: L.
      features: channels of the path of each input.
      blocks: number of CRBs.
      compute: see ``networks.compute``.
    """

    scale: int
    code_length: int
    features: int = 32
    blocks: int = 5
    compute: Compute = Compute()
    predicts: typing.ClassVar[str] = "code"

    @nn.compact
    def __call__(self, sr: jax.Array, lr: jax.Array, region: Region | None = None) -> jax.Array:
        compute, block = self.compute, functools.partial(CRB, self.compute)
        basic = conv(self.features, 1, compute=compute, name="head_lr")(lr, region)
        cond = conv(self.features, 9, stride=self.scale, compute=compute, name="head_hr")(sr, region)
        basic, _ = Chain(block, self.blocks, compute, name="body")(basic, cond, region=region)
        code = conv(self.code_length, 3, last=True, compute=compute, name="out")(basic, region)
        return mean(code, region)[:, 0, 0]


def build_dan_v1(
    *,
    scale: typing.Literal[2, 3, 4],
    kernel_size: int = 21,
    code_length: int = 10,
    iterations: int = DAN.iterations,
    features: int = Restorer.features,
    blocks: int = Restorer.blocks,
    upsampler: typing.Literal["stages", "single"] = Restorer.upsampler,
    skip: typing.Literal["none", "nearest", "bicubic"] = Restorer.skip,
    estimator_features: int = Estimator.features,
    estimator_blocks: int = Estimator.blocks,
    conditions: typing.Sequence[Condition] = DAN.conditions,
) -> DAN:
    """DANv1; with fewer blocks, ``upsampler="single"`` and a skip, the compact family (dan_lite).

    Args:
      scale: s.
      kernel_size: K, side of the estimated kernels in HR pixels, odd.
      code_length: L, the principal components by which a kernel is described.
      iterations: T, unfolded steps in training; may be changed when restoring.
      features, blocks: channels of the Restorer, and its conditional residual blocks.
      upsampler: ``stages`` as published; ``single``: one sub-pixel convolution, far cheaper.
      skip: interpolation that is added to the output: ``none`` as published.
      estimator_features, estimator_blocks: the same of the Estimator.
      conditions: what else the Estimator finds for the Restorer; nothing as published.
    """
    return DAN(
        restorer=Restorer(scale, features, blocks, upsampler, skip),
        estimator=Estimator(scale, code_length + len(conditions), estimator_features, estimator_blocks),
        scale=scale,
        kernel_size=kernel_size,
        code_length=code_length,
        iterations=iterations,
        conditions=tuple(conditions),
    )
