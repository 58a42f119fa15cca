"""KernelDAN and RealDAN (Luo et al., IJCV 2023): DAN's alternation in features of image and degradation.

Both are one network. They differ in the degradation that it describes: KernelDAN's vector gives a blur kernel, and
RealDAN's the draws of its own degradation of photographs.
"""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.degradations.real_kernels import generalized_gaussian
from blindsr_jax.degradations.realdan_numbers import KERNEL_LENGTH, REALDAN_LENGTH, kernel_numbers, realdan_numbers
from blindsr_jax.networks.chain import Chain
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.layers import ResidualBlock, conv, lrelu, mean_colour
from blindsr_jax.networks.region import Region, enlarged, halved, mask_outside, mean
from blindsr_jax.networks.unfolded import Unfolded
from blindsr_jax.networks.upsampling import Upsampler
from blindsr_jax.papers import SETTING2_SIZE, SETTING2_WIDTHS
from blindsr_jax.types import Degraded, Estimate

STRIDES = {"small": (2, 1, 2, 1, 2), "large": (2, 1, 1, 2, 1, 1, 2, 1)}  # of the Estimator's blocks
_GROWTH = 32  # channels that each convolution of a dense block adds


class DenseBlock(nn.Module):
    """Five 3×3 convolutions, each of all features so far; x + 0.2·the last (RRDBNet, ECCV workshops 2018).

    Attributes:
      compute: see ``networks.compute``.
    """

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, region: Region | None = None) -> jax.Array:
        seen = x
        for i in range(1, 5):
            new = lrelu(conv(_GROWTH, 3, compute=self.compute, name=f"conv{i}")(seen, region))
            seen = jnp.concatenate([seen, new], axis=-1)
        return x + 0.2 * conv(x.shape[-1], 3, compute=self.compute, name="conv5")(seen, region)


class RRDB(nn.Module):
    """Residual in residual: x + 0.2·(three dense blocks).

    Attributes:
      compute: see ``networks.compute``.
    """

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, region: Region | None = None) -> jax.Array:
        y = x
        for i in range(1, 4):
            y = DenseBlock(self.compute, name=f"rdb{i}")(y, region)
        return x + 0.2 * y


class PreactivationBlock(nn.Module):
    """conv(relu(conv(relu(x)))) + relu(x).

    With stride 2, the first convolution halves the size, and the skip is the mean of 3×3 pixels. The authors' first
    ReLU works in place, so their skip sees its result, not x. Their means divide by nine at the border too.

    Attributes:
      stride: 1 or 2.
      compute: see ``networks.compute``.
    """

    stride: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, region: Region | None = None) -> jax.Array:
        """The region refers to the input."""
        x, features = nn.relu(x), x.shape[-1]
        skip = x
        if self.stride == 2:
            region = halved(region)
            skip = mask_outside(nn.pooling.pool(x, 0.0, jax.lax.add, (3, 3), (2, 2), ((1, 1), (1, 1))) / 9, region)
        y = conv(features, 3, stride=self.stride, compute=self.compute, name="conv1")(x, region)
        return conv(features, 3, compute=self.compute, name="conv2")(nn.relu(y), region) + skip


class Fusion(nn.Module):
    """A 1×1 convolution of LR features, restored features and the degradation's, which are the same at every pixel.

    Attributes:
      compute: see ``networks.compute``.
    """

    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, x: jax.Array, restored: jax.Array, degradation: jax.Array, region: Region | None = None
    ) -> jax.Array:
        joined = jnp.concatenate([x, restored, jnp.broadcast_to(degradation, x.shape)], axis=-1)
        return conv(x.shape[-1], 1, compute=self.compute, name="conv")(joined, region)


class Restorer(nn.Module):
    """Computes a change of the restored features.

    Attributes:
      blocks: number of blocks.
      kind: ``edsr`` for residual blocks, ``rrdb`` for ``RRDB``.
      compute: see ``networks.compute``.
    """

    blocks: int
    kind: typing.Literal["edsr", "rrdb"]
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, x: jax.Array, restored: jax.Array, degradation: jax.Array, region: Region | None = None
    ) -> jax.Array:
        kind: typing.Any = {"edsr": ResidualBlock, "rrdb": RRDB}[self.kind]
        f = Fusion(self.compute, name="fusion")(x, restored, degradation, region)
        block = functools.partial(kind, compute=self.compute)
        return Chain(block, self.blocks, self.compute, name="body")(f, region=region) + f


class Estimator(nn.Module):
    """Computes a change of the degradation's features [B, 1, 1, C].

    Attributes:
      size: a key of ``STRIDES``.
      compute: see ``networks.compute``.
    """

    size: typing.Literal["small", "large"]
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, x: jax.Array, restored: jax.Array, degradation: jax.Array, region: Region | None = None
    ) -> jax.Array:
        y = Fusion(self.compute, name="fusion")(x, restored, degradation, region)
        for i, stride in enumerate(STRIDES[self.size]):
            y = PreactivationBlock(stride, self.compute, name=f"block{i}")(y, region)
            region = halved(region) if stride == 2 else region
        return mean(conv(x.shape[-1], 3, compute=self.compute, name="out")(y, region), region)


class State(typing.NamedTuple):
    """State that is passed from step to step.

    Attributes:
      x: features of the LR image, [B, H, W, C].
      degradation: features of the degradation, [B, 1, 1, C].
      restored: features of the restored image, [B, H, W, C].
      region: see ``networks.region``.
    """

    x: jax.Array
    degradation: jax.Array
    restored: jax.Array
    region: Region | None = None


class RealDAN(Unfolded):
    """Estimates the degradation, then restores, T times with shared parameters. Both see the other's features detached.

    The image and the degradation are computed from the features of the last step; in a trace, from those of all steps.

    Attributes:
      scale: s.
      degradation_length: D.
      features: C, the channels of all feature maps.
      blocks, body: see ``Restorer``.
      estimator_size: see ``Estimator``; the authors' is large with ``rrdb`` and otherwise small.
      iterations: default T.
    """

    scale: typing.Literal[2, 3, 4]
    degradation_length: int = REALDAN_LENGTH
    features: int = 64
    blocks: int = 16
    body: typing.Literal["edsr", "rrdb"] = "edsr"
    estimator_size: typing.Literal["small", "large"] = "small"
    iterations: int = 3
    estimates_kernel: typing.ClassVar[bool] = False
    supervision: typing.ClassVar[str] = "degradation"
    supervise: typing.ClassVar[tuple[str, ...]] = ("last_through_all", "all")
    shares_code: typing.ClassVar[bool] = True

    def setup(self) -> None:
        compute = self.compute
        length = (self.degradation_length,)
        self.initial_degradation = self.param("initial_degradation", nn.initializers.zeros, length, jnp.float32)
        self.image_head = conv(self.features, 3, compute=compute)
        self.degradation_head = conv(self.features, 1, compute=compute)
        self.estimator = Estimator(self.estimator_size, compute)
        self.restorer = Restorer(self.blocks, self.body, compute)
        self.image_tail = conv(self.features, 3, compute=compute)
        self.upscale = Upsampler(self.scale, compute=compute)
        self.degradation_tail = conv(self.degradation_length, 1, last=True, compute=compute)

    def start(self, lr: jax.Array, *, region: Region | None = None) -> State:
        """Start with the LR features, also as the restored ones, and with the learned degradation."""
        x = self.image_head(mask_outside(lr - mean_colour(lr), region), region)
        degradation = self.degradation_head(self.initial_degradation.reshape(1, 1, 1, -1))
        return State(x, jnp.broadcast_to(degradation, (len(lr), *degradation.shape[1:])), x, region)

    def step(self, state: State, lr: jax.Array, *now: jax.Array, region: Region | None = None) -> State:
        """Update the degradation, then the restored features."""
        x, degradation, restored = state[:3]
        degradation = degradation + self.estimator(x, jax.lax.stop_gradient(restored), degradation, region)
        return State(x, degradation, self._restored(x, restored, degradation, region), region)

    def estimate_of(self, state: State) -> Estimate:
        """Compute the image and the degradation [B, D] of a state; its code is the degradation's features [B, C]."""
        sr = self.upscale(self.image_tail(state.restored, state.region), state.region)
        sr = mask_outside(sr + mean_colour(sr), enlarged(state.region, self.scale))
        vector = self.degradation_tail(state.degradation)[:, 0, 0]
        code = state.degradation[:, 0, 0]
        return Estimate(sr=sr, kernel=self.kernel_of(vector), code=code, degradation=vector)

    def with_code(self, lr: jax.Array, code: jax.Array, *, region: Region | None = None) -> Estimate:
        """Restore with the codes of T steps, one after the other: [B, T·C]."""
        x, _, restored, _ = self.start(lr, region=region)
        steps = jnp.moveaxis(code.reshape(len(code), -1, 1, 1, self.features), 1, 0)

        def body(network: RealDAN, restored: jax.Array, x: jax.Array, degradation: jax.Array) -> tuple[jax.Array, None]:
            return network._restored(x, restored, degradation, region), None

        scan = nn.scan(
            body,
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=(nn.broadcast, 0),
            length=len(steps),
        )
        restored, _ = scan(self, restored, x, steps)
        return self.estimate_of(State(x, steps[-1], restored, region))

    def kernel_of(self, degradation: jax.Array) -> jax.Array | None:
        """Return the kernels [B, K, K] that degradations [B, D] describe; RealDAN's describe none."""
        return None

    def targets(self, hr: jax.Array, degraded: Degraded) -> Estimate:
        """Return the true image, and the numbers of its degradation: see ``degradations.realdan_numbers``."""
        return Estimate(sr=hr, degradation=realdan_numbers(degraded.drawn))

    def _restored(self, x: jax.Array, restored: jax.Array, degradation: jax.Array, region: Region | None) -> jax.Array:
        return restored + self.restorer(x, restored, jax.lax.stop_gradient(degradation), region)


class KernelDAN(RealDAN):
    """The same network for rotated Gaussian kernels (setting 2). Its degradation gives the kernel.

    The degradation [B, 8] holds σx, σy, θ, β, the kernel's kind, and three numbers of sinc kernels, each as a ratio
    from 0 to 1 of its range. All but the first three are constant in this setting.

    Attributes:
      kernel_size: K; by default that of setting 2 at this scale.
    """

    degradation_length: typing.Literal[8] = KERNEL_LENGTH
    kernel_size: int | None = None
    estimates_kernel: typing.ClassVar[bool] = True
    made_for: typing.ClassVar[typing.Mapping[str, str]] = {"kernel": "kerneldan", "downsample": "bicubic"}

    def __post_init__(self) -> None:
        if self.kernel_size is None:
            self.kernel_size = SETTING2_SIZE[self.scale]
        super().__post_init__()

    def targets(self, hr: jax.Array, degraded: Degraded) -> Estimate:
        """Return the true image, and the numbers of its kernel: see ``degradations.realdan_numbers``."""
        return Estimate(sr=hr, degradation=kernel_numbers(degraded.drawn))

    def kernel_of(self, degradation: jax.Array) -> jax.Array:
        """Return the kernels [B, K, K] with widths and angles of degradations [B, 8]; ratios are clipped to [0, 1].

        They are the kernels of the authors' training. Those of their ``predict_kernel.py`` are transposed.
        """
        ratios = jnp.clip(degradation[:, :3], 0, 1)
        narrowest, widest = SETTING2_WIDTHS
        sigma_x, sigma_y = (narrowest + (widest - narrowest) * ratios[:, i] for i in (0, 1))
        theta, gaussian = jnp.pi / 2 * ratios[:, 2], jnp.ones_like(sigma_x)
        return generalized_gaussian(sigma_x, sigma_y, theta, gaussian, self.kernel_size, convention="realdan")
