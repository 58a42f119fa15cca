"""Restorer and Estimator of DANv2 (arXiv 2105.06878), with one path for the image and one for the condition."""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.networks.chain import Chain
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.dan import DAN
from blindsr_jax.networks.layers import conv, lrelu
from blindsr_jax.networks.region import Region, mean
from blindsr_jax.networks.upsampling import Upsampler


class DPCB(nn.Module):
    """Dual-path conditional block: f + F·G and g + G, where F and G are two convolutions on each path.

    Attributes:
      kernel_f, kernel_g: kernel size of the convolutions on the image path and on the condition path.
      compute: see ``networks.compute``.
    """

    kernel_f: int = 3
    kernel_g: int = 3
    compute: Compute = Compute()
    in_bands: typing.ClassVar[bool] = True  # see ``networks.bands``

    @nn.compact
    def __call__(self, f: jax.Array, g: jax.Array, region: Region | None = None) -> tuple[jax.Array, jax.Array]:
        """Compute both paths. The region applies to f, and to g unless g is a single pixel."""
        residual_f = self._pair(f, self.kernel_f, "f", region)
        residual_g = self._pair(g, self.kernel_g, "g", region if g.shape[1:3] == f.shape[1:3] else None)
        product = residual_f * residual_g.astype(jnp.float32)  # g may be one pixel: see ``networks.compute``
        return (f + product).astype(f.dtype), g + residual_g

    def _pair(self, x: jax.Array, kernel: int, path: str, region: Region | None) -> jax.Array:
        x = lrelu(conv(x.shape[-1], kernel, compute=self.compute, name=f"{path}1")(x, region))
        return conv(x.shape[-1], kernel, compute=self.compute, name=f"{path}2")(x, region)


class DPCG(nn.Module):
    """Dual-path conditional group: a chain of DPCBs whose result is doubled on both paths.

    The paper adds the group's input to its output. In the authors' code the blocks update a list in place, so the
    output is added to itself. The published weights were trained that way, and this module does the same.

    Attributes:
      blocks: number of DPCBs.
      kernel_f, kernel_g, compute: see ``DPCB``.
    """

    blocks: int
    kernel_f: int = 3
    kernel_g: int = 3
    compute: Compute = Compute()
    in_bands: typing.ClassVar[bool] = True  # see ``networks.bands``

    @nn.compact
    def __call__(self, f: jax.Array, g: jax.Array, region: Region | None = None) -> tuple[jax.Array, jax.Array]:
        block = functools.partial(DPCB, self.kernel_f, self.kernel_g, self.compute)
        f, g = Chain(block, self.blocks, self.compute, name="body")(f, g, region=region)
        return 2 * f, 2 * g


class Restorer(nn.Module):
    """Restores an image from an LR image and a kernel code, which stays a single pixel and scales the features.

    Attributes:
      scale: 1 (deblurring), 2, 3 or 4.
      features: channels of both paths.
      groups, blocks: number of DPCGs, and of DPCBs in each DPCG.
      compute: see ``networks.compute``.
    """

    scale: int
    features: int = 64
    groups: int = 5
    blocks: int = 10
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, lr: jax.Array, code: jax.Array, region: Region | None = None) -> jax.Array:
        compute = self.compute
        f = conv(self.features, 3, compute=compute, name="head_lr")(lr, region)
        g = conv(self.features, 1, compute=compute, name="head_code")(code[:, None, None, :])
        group = functools.partial(DPCG, self.blocks, kernel_f=3, kernel_g=1, compute=compute)
        f, _ = Chain(group, self.groups, compute, name="body")(f, g, region=region)
        f = conv(self.features, 3, compute=compute, name="fusion")(f, region)
        return Upsampler(self.scale, compute=compute, name="upscale")(f, region)


class Estimator(nn.Module):
    """Estimates the kernel, as a softmax over its K² pixels, from a restored image and the LR image.

    Attributes:
      scale: 1, 2, 3 or 4.
      kernel_size: K.
      features: channels of each path.
      blocks: number of DPCBs.
      compute: see ``networks.compute``.
    """

    scale: int
    kernel_size: int
    features: int = 32
    blocks: int = 5
    compute: Compute = Compute()
    predicts: typing.ClassVar[str] = "kernel"

    @nn.compact
    def __call__(self, sr: jax.Array, lr: jax.Array, region: Region | None = None) -> jax.Array:
        compute = self.compute
        f = conv(self.features, 5, compute=compute, name="head_lr")(lr, region)
        g = conv(self.features, 4 * self.scale + 1, stride=self.scale, compute=compute, name="head_hr")(sr, region)
        f, _ = DPCG(self.blocks, compute=compute, name="body")(f, g, region)
        f = mean(conv(2 * self.features, 3, compute=compute, name="tail")(f, region), region)
        logits = conv(self.kernel_size**2, 1, last=True, compute=compute, name="out")(f)
        return nn.softmax(logits[:, 0, 0, :], axis=-1)


def build_dan_v2(
    *,
    scale: typing.Literal[1, 2, 3, 4],
    kernel_size: int = 21,
    code_length: int = 10,
    iterations: int = DAN.iterations,
    features: int = Restorer.features,
    groups: int = Restorer.groups,
    blocks: int = Restorer.blocks,
    estimator_features: int = Estimator.features,
    estimator_blocks: int = Estimator.blocks,
) -> DAN:
    """DANv2.

    Args:
      scale: s; 1 is deblurring.
      kernel_size: K, side of the estimated kernels in HR pixels, odd.
      code_length: L, the principal components by which a kernel is described.
      iterations: T, unfolded steps in training; may be changed when restoring.
      features, groups, blocks: channels of the Restorer, its dual-path groups, and the blocks of each.
      estimator_features, estimator_blocks: channels and blocks of the Estimator.
    """
    return DAN(
        restorer=Restorer(scale, features, groups, blocks),
        estimator=Estimator(scale, kernel_size, estimator_features, estimator_blocks),
        scale=scale,
        kernel_size=kernel_size,
        code_length=code_length,
        iterations=iterations,
    )
