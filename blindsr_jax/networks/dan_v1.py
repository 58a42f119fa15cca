"""Restorer and Estimator of DANv1 (NeurIPS 2020), and of the compact DANs that share its block."""

from __future__ import annotations

import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.networks.layers import Chain, ChannelAttention, Upsampler, conv, interpolation_skip, lrelu


class CRB(nn.Module):
    """Conditional residual block (DAN eq. 5): basic + attention(conv(lrelu(conv([basic, cond])))).

    ``cond`` is passed on unchanged, so that blocks chain.
    """

    @nn.compact
    def __call__(self, basic: jax.Array, cond: jax.Array) -> tuple[jax.Array, jax.Array]:
        features = basic.shape[-1]
        y = jnp.concatenate([basic, cond], axis=-1)
        y = lrelu(conv(y.shape[-1], 3, name="conv1")(y))
        y = conv(features, 3, name="conv2")(y)
        return basic + ChannelAttention(name="attention")(y), cond


class Restorer(nn.Module):
    """An image from an LR image and a kernel code, which is stretched over the image (SRMD's way).

    Attributes:
      scale: 2, 3 or 4.
      features: channels of the body.
      blocks: number of CRBs.
      upsampler: see ``layers.Upsampler``.
      skip: interpolation of the LR image added to the output, see ``layers.interpolation_skip``; DANv1 has none.
    """

    scale: int
    features: int = 64
    blocks: int = 40
    upsampler: typing.Literal["stages", "single"] = "stages"
    skip: typing.Literal["none", "nearest", "bicubic"] = "none"

    @nn.compact
    def __call__(self, lr: jax.Array, code: jax.Array) -> jax.Array:
        stretched = jnp.broadcast_to(code[:, None, None, :], (*lr.shape[:3], code.shape[-1]))
        x = conv(self.features, 3, name="head")(lr)
        x, _ = Chain(CRB, self.blocks, name="body")(x, stretched)
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
        return conv(self.code_length, 3, name="out")(basic).mean(axis=(1, 2))
