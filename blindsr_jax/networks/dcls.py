"""DCLS: deep constrained least squares (Luo et al., CVPR 2022).

It estimates the kernel of the LR image, which blurs the bicubically downsampled HR image, and deblurs the features of
the LR image with it. The Estimator is in ``dcls_estimator``.
"""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.degradations.lr_kernels import reformulated_kernel
from blindsr_jax.degradations.pipeline import apply_degradation
from blindsr_jax.errors import DataError
from blindsr_jax.networks.chain import Chain
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.dcls_estimator import Estimator
from blindsr_jax.networks.layers import ChannelAttention, ResidualBlock, conv, interpolation_skip, lrelu
from blindsr_jax.networks.network import Pooling
from blindsr_jax.networks.pooled import Pooled, PooledOnePass
from blindsr_jax.networks.region import Region
from blindsr_jax.networks.upsampling import Upsampler
from blindsr_jax.ops.fft import constrained_least_squares
from blindsr_jax.ops.resize import imresize
from blindsr_jax.types import Degraded, Estimate

SLOPE = 0.1  # of all leaky ReLUs
_BLOCKS = 3  # residual blocks before the deconvolution
_BINS = 3  # side of the smoothness filters
_ATTENTION = 4  # reduction of channel attention


class Deconvolution(nn.Module):
    """Deblurs features by constrained least squares, with a smoothness filter for each image and channel.

    The image is continued by K pixels of its border on each side, and wraps around beyond.

    Attributes:
      features: channels of the input and of the result.
      reduced: channels that are deblurred.
      compute: see ``networks.compute``.
    """

    features: int
    reduced: int
    compute: Compute = Compute()

    def setup(self) -> None:
        layer = functools.partial(conv, self.reduced, compute=self.compute)
        self.reduce = layer(1)
        self.smooth1, self.smooth2, self.smooth3 = (layer(3, padding=0) for _ in range(3))
        self.smooth_out = layer(1)
        self.expand = conv(self.features, 1, compute=self.compute)

    def smoothness_map(self, x: jax.Array) -> jax.Array:
        """Return the map [B, H − 6, W − 6, reduced] whose means over 3×3 bins give the smoothness filters."""
        x = lrelu(self.smooth1(self.reduce(x)), SLOPE)
        return self.smooth3(lrelu(self.smooth2(x), SLOPE))

    def smoothness_filters(self, means: jax.Array) -> jax.Array:
        """Return the filters [B, 3, 3, reduced], which sum to zero, of means of the map."""
        filters = jnp.exp(self.smooth_out(means))
        return filters - filters.mean(axis=(1, 2), keepdims=True)

    def deblurred(self, x: jax.Array, kernel: jax.Array, means: jax.Array) -> jax.Array:
        """Return deblurred features [B, H, W, reduced]."""
        size = kernel.shape[-1]
        padded = jnp.pad(self.reduce(x), ((0, 0), (size, size), (size, size), (0, 0)), mode="edge")
        sharp = constrained_least_squares(padded, kernel, self.smoothness_filters(means))
        return sharp[:, size:-size, size:-size]

    def __call__(self, x: jax.Array, kernel: jax.Array, means: jax.Array) -> jax.Array:
        """Deblur features [B, H, W, features] with correlation kernels [B, K, K] and the means of the map."""
        return self.expand(self.deblurred(x, kernel, means))


class DPAB(nn.Module):
    """Dual-path attention block: the deblurred features a see both paths, the plain features b their own.

    Attributes:
      compute: see ``networks.compute``.
    """

    compute: Compute = Compute()
    in_bands: typing.ClassVar[bool] = True  # see ``networks.bands``

    @nn.compact
    def __call__(self, a: jax.Array, b: jax.Array, region: Region | None = None) -> tuple[jax.Array, jax.Array]:
        residual_a, residual_b = self._pair(a, "a", region), self._pair(b, "b", region)
        joined = lrelu(jnp.concatenate([residual_a, residual_b], axis=-1), SLOPE)
        residual_a = conv(a.shape[-1], 3, compute=self.compute, name="joint")(joined, region)
        attention = functools.partial(ChannelAttention, _ATTENTION, slope=0.0, compute=self.compute)
        a = a + attention(name="attention_a")(residual_a, region)
        return a, b + attention(name="attention_b")(residual_b, region)

    def _pair(self, x: jax.Array, path: str, region: Region | None) -> jax.Array:
        layer = functools.partial(conv, x.shape[-1], 3, compute=self.compute)
        return layer(name=f"{path}2")(lrelu(layer(name=f"{path}1")(x, region), SLOPE), region)


class DPAG(nn.Module):
    """Dual-path attention group: a chain of DPABs whose result is doubled on both paths.

    The paper draws a skip over the group. As in DANv2, the authors' blocks update a list in place, so the result is
    added to itself.

    Attributes:
      blocks: number of DPABs.
      compute: see ``networks.compute``.
    """

    blocks: int
    compute: Compute = Compute()
    in_bands: typing.ClassVar[bool] = True  # see ``networks.bands``

    @nn.compact
    def __call__(self, a: jax.Array, b: jax.Array, region: Region | None = None) -> tuple[jax.Array, jax.Array]:
        block = functools.partial(DPAB, self.compute)
        a, b = Chain(block, self.blocks, self.compute, name="body")(a, b, region=region)
        return 2 * a, 2 * b


class Restorer(nn.Module):
    """Restores an image from LR features and the kernel of the LR image.

    Attributes:
      scale: 2, 3 or 4.
      features: channels of the deblurred path.
      reduction: the plain path has features // reduction channels.
      groups, blocks: number of DPAGs, and of DPABs in each.
      skip: interpolated LR image that is added to the output, see ``layers.interpolation_skip``; DCLS has none.
      compute: see ``networks.compute``.
    """

    scale: int
    features: int = 64
    reduction: int = 4
    groups: int = 5
    blocks: int = 10
    skip: typing.Literal["none", "nearest", "bicubic"] = "none"
    compute: Compute = Compute()

    def setup(self) -> None:
        compute, reduced = self.compute, self.features // self.reduction
        block = functools.partial(ResidualBlock, SLOPE, compute=compute)
        self.head = conv(self.features, 3, compute=compute)
        self.look = Chain(block, _BLOCKS, compute)
        self.plain = conv(reduced, 3, compute=compute)
        self.deconvolution = Deconvolution(self.features, reduced, compute)
        self.body = Chain(functools.partial(DPAG, self.blocks, compute), self.groups, compute)
        self.fusion = conv(self.features, 3, compute=compute)
        self.upscale = Upsampler(self.scale, compute=compute)

    def features_of(self, lr: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the shallow features and those that are deblurred, both [B, H, W, features]."""
        shallow = self.head(lr)
        return shallow, self.look(shallow)

    def smoothness_map(self, features: jax.Array) -> jax.Array:
        """See ``Deconvolution``."""
        return self.deconvolution.smoothness_map(features)

    def __call__(
        self,
        lr: jax.Array,
        shallow: jax.Array,
        features: jax.Array,
        kernel: jax.Array,
        means: jax.Array,
        region: Region | None = None,
    ) -> jax.Array:
        """Return the image, clipped to [0, 1], also in training."""
        a, b = self.deconvolution(features, kernel, means), self.plain(features)
        a, b = self.body(a, b, region=region)
        # The order of the paths is not that inside the blocks.
        x = self.fusion(jnp.concatenate([b, a], axis=-1)) + shallow
        return jnp.clip(self.upscale(x) + interpolation_skip(lr, self.scale, self.skip), 0, 1)


class DCLS(PooledOnePass):
    """Estimates the kernel of the LR image, and restores the image with it. The Restorer sees the kernel detached.

    Attributes:
      scale: s.
      kernel_size: K, side of the kernels in LR pixels.
      features, reduction, groups, blocks, skip: see ``Restorer``; the Estimator has as many features.
      latent_features: see ``Estimator``.
      kernel_softmax: see ``Estimator``. The authors' ×2 weights for setting 2 (K = 11) want it; no tensor tells.
    """

    scale: typing.Literal[2, 3, 4]
    kernel_size: typing.Literal[11, 21, 31] = 21
    features: int = Restorer.features
    reduction: int = Restorer.reduction
    groups: int = Restorer.groups
    blocks: int = Restorer.blocks
    skip: typing.Literal["none", "nearest", "bicubic"] = Restorer.skip
    latent_features: int = Estimator.latent_features
    kernel_softmax: bool = False

    supervision: typing.ClassVar[str] = "kernel"
    kernel_space: typing.ClassVar[typing.Literal["hr", "lr"]] = "lr"
    made_for: typing.ClassVar[typing.Mapping[str, str]] = {"downsample": "bicubic"}
    optimizer_groups: typing.ClassVar[typing.Mapping[str, str]] = {"estimator": "estimator"}
    through_fft: typing.ClassVar[bool] = True
    poolings: typing.ClassVar[typing.Mapping[str, Pooling]] = {
        "latent": Pooling(bins=1, border=2),
        "smoothness": Pooling(bins=_BINS, border=3),
    }
    reach: typing.ClassVar[int] = 11  # the Estimator's: 3 + 2·3 + 2

    def setup(self) -> None:
        sizes = self.features, self.reduction, self.groups, self.blocks, self.skip
        self.estimator = Estimator(
            self.kernel_size, self.features, self.latent_features, self.kernel_softmax, self.compute
        )
        self.restorer = Restorer(self.scale, *sizes, self.compute)

    def maps(self, lr: jax.Array) -> dict[str, jax.Array]:
        """Return the maps of the kernel's latent code and of the smoothness filters."""
        return self._maps(lr, self.restorer.features_of(lr)[1])

    def restored(self, lr: jax.Array) -> Estimate:
        """Return the image and the kernel [B, K, K] of the LR image, which sums to one and may be negative in places.

        Raises:
          DataError: the images are smaller than 7×7 pixels.
        """
        if min(lr.shape[1:3]) < 7:
            raise DataError(f"DCLS needs LR images of 7x7 pixels or more, got {lr.shape[2]}x{lr.shape[1]}")
        shallow, features = self.restorer.features_of(lr)
        return self._restored(lr, shallow, features, self.pooled_of(self._maps(lr, features)))

    def restored_with(self, lr: jax.Array, pooled: Pooled, *, region: Region | None = None) -> Estimate:
        """See ``PooledOnePass``."""
        return self._restored(lr, *self.restorer.features_of(lr), pooled, region)

    def kernel_of(self, pooled: Pooled) -> jax.Array:
        """See ``PooledOnePass``."""
        return self.estimator.kernel_of(pooled["latent"])

    def targets(self, hr: jax.Array, degraded: Degraded) -> Estimate:
        """Return the true image, and the kernel of the LR image that the true kernel amounts to.

        That is found from the LR images that the HR image gives with and without its blur, before noise and rounding.
        """
        blurred = apply_degradation(hr, degraded.kernel, scale=self.scale)
        clean = imresize(hr, 1 / self.scale)
        return Estimate(sr=hr, kernel=reformulated_kernel(clean, blurred, self.kernel_size))

    def _maps(self, lr: jax.Array, features: jax.Array) -> dict[str, jax.Array]:
        return {"latent": self.estimator.latent_map(lr), "smoothness": self.restorer.smoothness_map(features)}

    def _restored(
        self,
        lr: jax.Array,
        shallow: jax.Array,
        features: jax.Array,
        pooled: Pooled,
        region: Region | None = None,
    ) -> Estimate:
        kernel = self.kernel_of(pooled)
        sr = self.restorer(lr, shallow, features, jax.lax.stop_gradient(kernel), pooled["smoothness"], region)
        return Estimate(sr=sr, kernel=kernel)
