"""DASR: a representation of the degradation instead of a kernel (Wang et al., CVPR 2021).

An Encoder describes the degradation of an LR image by a vector. The Restorer makes depthwise kernels and gates of it.
The batch normalisation of the authors' Encoder is part of its convolutions here, with the statistics of their training.
"""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax

from blindsr_jax.networks.chain import Chain
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.layers import conv, lrelu, mean_colour
from blindsr_jax.networks.network import Pooling
from blindsr_jax.networks.parameters import torch_uniform
from blindsr_jax.networks.pooled import Pooled, PooledOnePass
from blindsr_jax.networks.region import Region, enlarged, halved, mask_outside, mean
from blindsr_jax.networks.upsampling import Upsampler
from blindsr_jax.ops.convolution import depthwise
from blindsr_jax.types import Estimate

SLOPE = 0.1  # of all leaky ReLUs
_LEVELS = 255  # the authors' images are 0 … 255
_GATE = 8  # reduction of the gates
_REPRESENTATION = "representation"


class Encoder(nn.Module):
    """Six 3×3 convolutions; the third and the fifth halve the size.

    Attributes:
      features: channels of the first, the second and the last two convolutions.
      compute: see ``networks.compute``.
    """

    features: tuple[int, ...] = (64, 128, 256)
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, region: Region | None = None) -> jax.Array:
        """Map images [B, H, W, 3] to the map [B, ⌈H/4⌉, ⌈W/4⌉, C] whose mean is the representation."""
        for level, features in enumerate(self.features):
            layer = functools.partial(conv, features, 3, compute=self.compute)
            region = halved(region) if level else region
            x = lrelu(layer(stride=2 if level else 1, name=f"conv{2 * level + 1}")(x, region), SLOPE)
            x = lrelu(layer(name=f"conv{2 * level + 2}")(x, region), SLOPE)
        return x


class DAConv(nn.Module):
    """Degradation-aware convolution: conv 1(lrelu(x ⊛ kernels)) + x · gate (section 3.2).

    The depthwise 3×3 kernels and the gate come from the code of the degradation. The gate never sees x.

    Attributes:
      compute: see ``networks.compute``.
    """

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, code: jax.Array, region: Region | None = None) -> jax.Array:
        """[B, H, W, C] and codes [B, 1, 1, L], or one code for all, to [B, H, W, C]."""
        channels = x.shape[-1]
        dense = functools.partial(nn.Dense, use_bias=False, kernel_init=torch_uniform)
        point = functools.partial(conv, kernel=1, bias=False, compute=self.compute)
        kernels = dense(9 * channels, name="kernel2")(lrelu(dense(code.shape[-1], name="kernel1")(code), SLOPE))
        kernels = kernels.reshape(-1, channels, 3, 3).transpose(0, 2, 3, 1)
        y = conv(channels, 1, compute=self.compute, name="mix")(lrelu(depthwise(x, kernels), SLOPE), region)
        gate = lrelu(point(max(channels // _GATE, 1), name="squeeze")(code), SLOPE)
        return y + x * nn.sigmoid(point(channels, name="excite")(gate))


class DABlock(nn.Module):
    """Two degradation-aware convolutions, each followed by a 3×3 convolution, and a skip over all (figure 3).

    The block also returns the code, unchanged, so that blocks form a chain.

    Attributes:
      compute: see ``networks.compute``.
    """

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, code: jax.Array, region: Region | None = None) -> tuple[jax.Array, jax.Array]:
        layer = functools.partial(conv, x.shape[-1], 3, compute=self.compute)
        y = lrelu(DAConv(self.compute, name="aware1")(x, code, region), SLOPE)
        y = lrelu(layer(name="conv1")(y, region), SLOPE)
        y = lrelu(DAConv(self.compute, name="aware2")(y, code, region), SLOPE)
        return x + layer(name="conv2")(y, region), code


class DAGroup(nn.Module):
    """A chain of blocks, a 3×3 convolution, and a skip over all. It returns the code as well, unchanged.

    Attributes:
      blocks: number of blocks.
      compute: see ``networks.compute``.
    """

    blocks: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, code: jax.Array, region: Region | None = None) -> tuple[jax.Array, jax.Array]:
        y, _ = Chain(functools.partial(DABlock, self.compute), self.blocks, self.compute, name="body")(
            x, code, region=region
        )
        return x + conv(x.shape[-1], 3, compute=self.compute, name="out")(y, region), code


class Restorer(nn.Module):
    """Restores an image of 0 … 255, without its mean colour, from such an LR image and a representation.

    Attributes:
      scale: 2, 3 or 4.
      features: channels of the body.
      code_features: L, the length of the code that the representation is compressed to.
      groups, blocks: number of groups, and of blocks in each.
      compute: see ``networks.compute``.
    """

    scale: int
    features: int = 64
    code_features: int = 64
    groups: int = 5
    blocks: int = 5
    compute: Compute = Compute()

    def setup(self) -> None:
        compute = self.compute
        self.head = conv(self.features, 3, compute=compute)
        self.compress = nn.Dense(self.code_features, use_bias=False, kernel_init=torch_uniform)
        self.body = Chain(functools.partial(DAGroup, self.blocks, compute), self.groups, compute)
        self.fusion = conv(self.features, 3, compute=compute)
        self.upscale = Upsampler(self.scale, compute=compute)

    def code_of(self, representation: jax.Array) -> jax.Array:
        """Return codes [B, 1, 1, L] of representations [B, 1, 1, C]."""
        return lrelu(self.compress(representation), SLOPE)

    def __call__(self, x: jax.Array, representation: jax.Array, region: Region | None = None) -> jax.Array:
        """[B, H, W, 3] and [B, 1, 1, C], or one representation for all, to [B, s·H, s·W, 3]."""
        shallow = self.head(x, region)
        y, _ = self.body(shallow, self.code_of(representation), region=region)
        return self.upscale(self.fusion(y, region) + shallow, region)


class DASR(PooledOnePass):
    """Describes the degradation by a representation, and restores with it in one pass. It finds no kernel.

    Attributes:
      scale: s.
      features, code_features, groups, blocks: see ``Restorer``.
      encoder_features: see ``Encoder``; the last is the length of the representation.
    """

    scale: typing.Literal[2, 3, 4]
    features: int = Restorer.features
    code_features: int = Restorer.code_features
    groups: int = Restorer.groups
    blocks: int = Restorer.blocks
    encoder_features: tuple[int, ...] = Encoder.features

    estimates_kernel: typing.ClassVar[bool] = False
    poolings: typing.ClassVar[typing.Mapping[str, Pooling]] = {_REPRESENTATION: Pooling(bins=1, border=0)}
    reach: typing.ClassVar[int] = 11  # the Encoder's: 1 + 1 + 1 + 2 + 2 + 4
    stride: typing.ClassVar[int] = 4

    def setup(self) -> None:
        self.encoder = Encoder(tuple(self.encoder_features), self.compute)
        sizes = self.features, self.code_features, self.groups, self.blocks
        self.restorer = Restorer(self.scale, *sizes, self.compute)

    def maps(self, lr: jax.Array, region: Region | None = None) -> dict[str, jax.Array]:
        """Return the map [B, ⌈H/4⌉, ⌈W/4⌉, C] whose mean is the representation."""
        return {_REPRESENTATION: self.encoder(_LEVELS * lr, region)}

    def restored(self, lr: jax.Array, *, region: Region | None = None) -> Estimate:
        """Return the image, not clipped, and the representation [B, C] as its code."""
        (found,) = self.maps(lr, region).values()
        return self.restored_with(lr, {_REPRESENTATION: mean(found, halved(halved(region)))}, region=region)

    def restored_with(self, lr: jax.Array, pooled: Pooled, *, region: Region | None = None) -> Estimate:
        """See ``PooledOnePass``."""
        colour = mean_colour(lr)
        x = mask_outside(_LEVELS * (lr - colour), region)
        sr = self.restorer(x, pooled[_REPRESENTATION], region) / _LEVELS + colour
        return Estimate(sr=mask_outside(sr, enlarged(region, self.scale)), code=self.code_of(pooled))

    def code_of(self, pooled: Pooled) -> jax.Array:
        """See ``PooledOnePass``."""
        return pooled[_REPRESENTATION][:, 0, 0]
