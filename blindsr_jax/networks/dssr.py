"""DSSR: detail-structure alternating optimisation (Li et al., IEEE TMM 2022). It estimates no kernel.

Each step estimates the detail map, which is the HR image minus the interpolated LR image. The detail map modulates the
structure features. A hidden state connects the steps.
"""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.networks.chain import Chain
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.layers import ConvTranspose, ResidualBlock, conv, lrelu
from blindsr_jax.networks.region import Region, enlarged, valid_size
from blindsr_jax.networks.unfolded import Unfolded
from blindsr_jax.networks.upsampling import Upsampler
from blindsr_jax.ops.resize import interpolate_bicubic
from blindsr_jax.types import Degraded, Estimate

# Size, padding and stride of the convolutions between LR and HR size, by scale.
_RESAMPLING = {2: (4, 1, 2), 3: (5, 1, 3), 4: (4, 0, 4)}


class AffineTransform(nn.Module):
    """Computes scale γ in (0, 1) and shift β of features from features of the detail map (AT in the paper's figure 5).

    Attributes:
      compute: see ``networks.compute``.
    """

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, region: Region | None = None) -> tuple[jax.Array, jax.Array]:
        features, compute = x.shape[-1], self.compute
        for i in range(1, 5):
            x = lrelu(conv(features, 3, compute=compute, name=f"conv{i}")(x, region))
        gamma = nn.sigmoid(conv(features, 1, compute=compute, name="gamma")(x, region))
        return gamma, conv(features, 1, compute=compute, name="beta")(x, region)


class State(typing.NamedTuple):
    """State that is passed from step to step.

    Attributes:
      x: compressed input features, [B, H, W, C].
      hidden: structure features of the last step, [B, H, W, C].
      base: bicubic interpolation of the LR image, [B, sH, sW, 3].
      total: sum of the images of all steps so far, [B, sH, sW, 3].
      estimate: image and detail of the last step.
    """

    x: jax.Array
    hidden: jax.Array
    base: jax.Array
    total: jax.Array
    estimate: Estimate


class DSSR(Unfolded):
    """Alternates detail and structure T times with shared parameters. The result is the mean of the T images.

    Attributes:
      scale: s.
      features: C, the channels of all feature maps.
      blocks, refine_blocks: residual blocks before the detail map and before the image.
      iterations: default T.
    """

    scale: typing.Literal[2, 3, 4]
    features: int = 128
    blocks: int = 15
    refine_blocks: int = 5
    iterations: int = 4
    supervision: typing.ClassVar[str] = "detail"
    supervise: typing.ClassVar[tuple[str, ...]] = ("all",)
    takes_bfloat16: typing.ClassVar[bool] = True
    estimates_kernel: typing.ClassVar[bool] = False

    def setup(self) -> None:
        size, padding, stride = _RESAMPLING[self.scale]
        compute, block = self.compute, functools.partial(ResidualBlock, weight=0.2, compute=self.compute)
        self.head = conv(self.features, 3, compute=compute)
        self.compress = conv(self.features, 1, compute=compute)
        self.body = Chain(block, self.blocks, compute)
        self.up = ConvTranspose(self.features, size, padding, stride, compute=compute)
        self.down = conv(self.features, size, stride=stride, padding=padding, compute=compute)
        self.detail_out = conv(3, 3, compute=compute)
        self.detail_in = conv(self.features, 3, compute=compute)
        self.modulate_hr, self.modulate_lr = AffineTransform(compute), AffineTransform(compute)
        self.refine = Chain(block, self.refine_blocks, compute)
        self.upscale = Upsampler(self.scale, compute=compute)

    def start(self, lr: jax.Array, *, region: Region | None = None) -> State:
        """Start with the shallow features, also as the hidden state, and the interpolated image."""
        x, base = self.head(lr, region), self._base(lr, region)
        return State(x, x, base, jnp.zeros_like(base), Estimate(sr=base, detail=jnp.zeros_like(base)))

    def step(self, state: State, lr: jax.Array, *, region: Region | None = None) -> State:
        """Estimate the detail map from the features, modulate the features with it, and restore the image."""
        of_hr = enlarged(region, self.scale)
        x = self.compress(jnp.concatenate([state.x, state.hidden], axis=-1), region)
        features = self.body(x, region=region) + x
        wide = self.up(features, of_hr)
        detail = self.detail_out(wide, of_hr) - state.base
        detail_features = self.detail_in(detail, of_hr)
        gamma, beta = self.modulate_hr(detail_features, of_hr)
        structure = wide * gamma + beta + wide
        reduced = _interpolated(detail_features, lr.shape[1:3], of_hr, align_corners=True)
        gamma, beta = self.modulate_lr(reduced, region)
        # The paper adds the features of the LR input here (eq. 13). This follows the authors' code.
        hidden = self.down(structure, region) * gamma + beta + features
        sr = self.upscale(self.refine(hidden, region=region) + hidden, region) + state.base
        return State(x, hidden, state.base, state.total + sr, Estimate(sr=sr, detail=detail))

    def estimate_of(self, state: State) -> Estimate:
        """Return image and detail of the last step."""
        return state.estimate

    def final_image(self, state: State, steps: int) -> jax.Array:
        """Return the mean over all steps, as the authors' test code does."""
        return state.total / steps

    def reported(self, images: jax.Array) -> jax.Array:
        """Return the means over the first 1, 2 … T steps."""
        counts = jnp.arange(1, images.shape[0] + 1).reshape(-1, *[1] * (images.ndim - 1))
        return jnp.cumsum(images, axis=0) / counts

    def targets(self, hr: jax.Array, degraded: Degraded) -> Estimate:
        """Return the true image and its detail M = hr − base."""
        return Estimate(sr=hr, detail=hr - self._base(degraded.lr, None))

    def _base(self, lr: jax.Array, region: Region | None) -> jax.Array:
        height, width = lr.shape[1:3]
        return _interpolated(lr, (height * self.scale, width * self.scale), region, align_corners=False)


def _interpolated(x: jax.Array, size: tuple[int, int], region: Region | None, *, align_corners: bool) -> jax.Array:
    return interpolate_bicubic(x, size, align_corners=align_corners, valid_size=valid_size(region))
