"""Restorer and Estimator of DANv2 (arXiv 2105.06878): two paths, one for the image, one for the condition."""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.networks import pooling
from blindsr_jax.networks.chain import Chain
from blindsr_jax.networks.layers import conv, lrelu
from blindsr_jax.networks.upsampling import Upsampler


class DPCB(nn.Module):
    """Dual-path conditional block: f + F·G and g + G, where F and G are two convolutions of each path.

    Attributes:
      kernel_f, kernel_g: size of the convolutions on the image and on the condition path.
    """

    kernel_f: int = 3
    kernel_g: int = 3

    @nn.compact
    def __call__(self, f: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
        residual_f = self._pair(f, self.kernel_f, "f")
        residual_g = self._pair(g, self.kernel_g, "g")
        product = residual_f * residual_g.astype(jnp.float32)  # of which g may be one pixel: see ``precision``
        return (f + product).astype(f.dtype), g + residual_g

    def _pair(self, x: jax.Array, kernel: int, path: str) -> jax.Array:
        x = lrelu(conv(x.shape[-1], kernel, name=f"{path}1")(x))
        return conv(x.shape[-1], kernel, name=f"{path}2")(x)


class DPCG(nn.Module):
    """Dual-path conditional group: a chain of DPCBs, its result doubled on both paths.

    The paper adds the group's input to its output. In the authors' code the blocks update a list in place, so what is
    added is the output itself; the published weights were trained that way, and so is this.

    Attributes:
      blocks: number of DPCBs.
      kernel_f, kernel_g: see ``DPCB``.
    """

    blocks: int
    kernel_f: int = 3
    kernel_g: int = 3

    @nn.compact
    def __call__(self, f: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
        block = functools.partial(DPCB, self.kernel_f, self.kernel_g)
        f, g = Chain(block, self.blocks, name="body")(f, g)
        return 2 * f, 2 * g


class Restorer(nn.Module):
    """An image from an LR image and a kernel code, which stays one pixel large and scales the features.

    Attributes:
      scale: 1 (deblurring), 2, 3 or 4.
      features: channels of both paths.
      groups, blocks: number of DPCGs, and of DPCBs in each.
    """

    scale: int
    features: int = 64
    groups: int = 5
    blocks: int = 10

    @nn.compact
    def __call__(self, lr: jax.Array, code: jax.Array) -> jax.Array:
        f = conv(self.features, 3, name="head_lr")(lr)
        g = conv(self.features, 1, name="head_code")(code[:, None, None, :])
        group = functools.partial(DPCG, self.blocks, kernel_f=3, kernel_g=1)
        f, _ = Chain(group, self.groups, name="body")(f, g)
        f = conv(self.features, 3, name="fusion")(f)
        return Upsampler(self.scale, name="upscale")(f)


class Estimator(nn.Module):
    """The kernel itself, as a softmax over its K² pixels, from a restored image and the LR image.

    Attributes:
      scale: 1, 2, 3 or 4.
      kernel_size: K.
      features: channels of each path.
      blocks: number of DPCBs.
    """

    scale: int
    kernel_size: int
    features: int = 32
    blocks: int = 5
    predicts: typing.ClassVar[str] = "kernel"

    @nn.compact
    def __call__(self, sr: jax.Array, lr: jax.Array) -> jax.Array:
        f = conv(self.features, 5, name="head_lr")(lr)
        g = conv(self.features, 4 * self.scale + 1, stride=self.scale, name="head_hr")(sr)
        f, _ = DPCG(self.blocks, name="body")(f, g)
        f = pooling.mean(conv(2 * self.features, 3, name="tail")(f))
        logits = conv(self.kernel_size**2, 1, last=True, name="out")(f)
        return nn.softmax(logits[:, 0, 0, :], axis=-1)
