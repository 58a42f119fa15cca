"""IKC: iterative kernel correction (Gu et al., CVPR 2019).

The Predictor guesses a kernel code from the LR image. Each step restores with the code so far, by SFTMD, and corrects
the code from the restored image, by the Corrector. This is DAN's loop with another start and another Estimator.
"""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.networks.chain import Chain
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.dan import DAN
from blindsr_jax.networks.dan_v1 import ConditionedConv
from blindsr_jax.networks.layers import conv, lrelu
from blindsr_jax.networks.network import FirstStage
from blindsr_jax.networks.parameters import torch_uniform
from blindsr_jax.networks.region import Region, accepts_region, enlarged, halved, mask_outside, mean, optional
from blindsr_jax.networks.upsampling import FACTORS
from blindsr_jax.ops.pixel import pixel_shuffle
from blindsr_jax.types import Estimate

_NARROW = 32  # channels inside of an SFT layer
_PREDICTOR_STRIDES = (1, 1, 1, 2, 1, 1)
_CORRECTOR_STRIDES = (1, 2, 1, 2, 1, 1, 1)
_TRUE_CODE = "true_code"  # the supervision of the first stage: one restoration with the true code


class SFT(nn.Module):
    """Spatial feature transform (section 3.3): x · sigmoid(γ) + β, with γ and β from features and kernel code.

    Attributes:
      compute: see ``networks.compute``.
    """

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, code: jax.Array, region: Region | None = None) -> jax.Array:
        """[B, H, W, C] and codes [B, L] to [B, H, W, C]."""
        return x * nn.sigmoid(self._pair(x, code, "gamma", region)) + self._pair(x, code, "beta", region)

    def _pair(self, x: jax.Array, code: jax.Array, name: str, region: Region | None) -> jax.Array:
        y = lrelu(ConditionedConv(_NARROW, self.compute, name=f"{name}1")(x, code, region))
        return conv(x.shape[-1], 3, compute=self.compute, name=f"{name}2")(y, region)


class SFTBlock(nn.Module):
    """x + conv(relu(SFT(conv(relu(SFT(x)))))). It returns the code as well, unchanged, so that blocks form a chain.

    Attributes:
      compute: see ``networks.compute``.
    """

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, code: jax.Array, region: Region | None = None) -> tuple[jax.Array, jax.Array]:
        y = x
        for i in (1, 2):
            y = nn.relu(SFT(self.compute, name=f"sft{i}")(y, code, region))
            y = conv(x.shape[-1], 3, compute=self.compute, name=f"conv{i}")(y, region)
        return x + y, code


class SFTMD(nn.Module):
    """Restores an image from an LR image and a kernel code, which transforms the features of every block.

    Attributes:
      scale: 2, 3 or 4.
      features: channels of the body.
      blocks: number of blocks.
      compute: see ``networks.compute``.
    """

    scale: int
    features: int = 64
    blocks: int = 16
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, lr: jax.Array, code: jax.Array, region: Region | None = None) -> jax.Array:
        """[B, H, W, 3] and codes [B, L] to [B, s·H, s·W, 3], clipped to [0, 1]."""
        layer = functools.partial(conv, self.features, 3, compute=self.compute)
        x = lrelu(layer(name="head1")(lr, region))
        shallow = layer(name="head3")(lrelu(layer(name="head2")(x, region)), region)
        block = functools.partial(SFTBlock, self.compute)
        x, _ = Chain(block, self.blocks, self.compute, name="body")(shallow, code, region=region)
        x = SFT(self.compute, name="sft")(x + shallow, code, region)
        x = layer(name="fusion")(x, region)
        for i, factor in enumerate(FACTORS[self.scale]):
            x = conv(self.features * factor**2, 3, compute=self.compute, name=f"up{i}")(x, region)
            x, region = lrelu(pixel_shuffle(x, factor)), enlarged(region, factor)
        return jnp.clip(conv(3, 9, last=True, compute=self.compute, name="out")(x, region), 0, 1)


class Predictor(nn.Module):
    """Estimates a kernel code from an LR image: six 5×5 convolutions, and the mean over the image.

    Attributes:
      code_length: L.
      features: channels.
      compute: see ``networks.compute``.
    """

    code_length: int
    features: int = 64
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, lr: jax.Array, region: Region | None = None) -> jax.Array:
        """[B, H, W, 3] to [B, L]."""
        widths = [self.features] * (len(_PREDICTOR_STRIDES) - 1) + [self.code_length]
        x, region = _convolutions(lr, widths, _PREDICTOR_STRIDES, self.compute, region)
        return mean(x, region)[:, 0, 0]


class Corrector(nn.Module):
    """Corrects a kernel code by looking at the image that was restored with it.

    Attributes:
      code_length: L.
      features: C, channels of the features of the image, and of those of the code.
      compute: see ``networks.compute``.
    """

    code_length: int
    features: int = 64
    compute: Compute = Compute()
    predicts: typing.ClassVar[str] = "code"

    @nn.compact
    def __call__(self, sr: jax.Array, code: jax.Array, region: Region | None = None) -> jax.Array:
        """[B, s·H, s·W, 3] and codes [B, L] to the corrected codes [B, L]. The region is that of the restored image."""
        widths = [self.features] * len(_CORRECTOR_STRIDES)
        x, region = _convolutions(sr, widths, _CORRECTOR_STRIDES, self.compute, region)
        y = code
        for i in (1, 2):
            y = lrelu(nn.Dense(self.features, kernel_init=torch_uniform, name=f"code{i}")(y))
        x = jnp.concatenate([x, jnp.broadcast_to(y[:, None, None], x.shape)], axis=-1)
        layer = functools.partial(conv, kernel=1, compute=self.compute)
        x = lrelu(layer(2 * self.features, name="joint1")(x))
        x = lrelu(layer(self.features, name="joint2")(x))
        change = mask_outside(layer(self.code_length, last=True, name="joint3")(x), region)
        return code + mean(change, region)[:, 0, 0]


class IKC(DAN):
    """Predicts a code once, then restores with it and corrects it, T times with shared parameters.

    sr of step t belongs to the code of step t − 1, as in DAN. The last correction changes no image.

    It is trained in two stages: SFTMD with true codes, then Predictor and Corrector on the images of a fixed SFTMD.

    Attributes:
      predictor: lr [B,H,W,3] -> code [B,L].
      estimator: the Corrector, (sr, code) -> code.
      restorer, scale, kernel_size, code_length: see ``DAN``.
      iterations: default T.
    """

    predictor: nn.Module | None = None
    iterations: int = 7
    supervision: typing.ClassVar[str] = "corrected_code"
    supervise: typing.ClassVar[tuple[str, ...]] = ()
    trained_with: typing.ClassVar[tuple[str, ...]] = ("kernel",)
    first_stage: typing.ClassVar[FirstStage] = FirstStage(
        "sftmd_steps", 500_000, "image", supervise=_TRUE_CODE, groups=("restorer",)
    )
    optimizer_groups: typing.ClassVar[typing.Mapping[str, str]] = {"predictor": "predictor", "estimator": "estimator"}
    takes_bfloat16: typing.ClassVar[bool] = False

    @property
    def takes_padding(self) -> bool:
        """See ``Unfolded.takes_padding``. The Predictor must accept a region too."""
        return super().takes_padding and accepts_region(self.predictor)

    def start(self, lr: jax.Array, *, region: Region | None = None) -> Estimate:
        """Start with a zero image and the Predictor's code."""
        batch, height, width, _ = lr.shape
        code = self.predictor(lr, **optional(region))
        sr = jnp.zeros((batch, height * self.scale, width * self.scale, 3), lr.dtype)
        return Estimate(sr=sr, kernel=self._kernel_of(code), code=code)

    def training_steps(self, lr: jax.Array, *, gradient: str, kernel: jax.Array) -> list[Estimate]:
        """Return what the two stages supervise: one restoration with the true kernel, or the codes of all steps.

        No gradient reaches SFTMD from the codes. Each is corrected from a stopped image and a stopped code, so its loss
        trains one application of the Corrector.

        Args:
          lr: [B, H, W, 3].
          gradient: ``true_code`` for the first stage; any other value for the second.
          kernel: [B, K, K], the true kernels.

        Returns:
          The restoration; or the Predictor's code and the corrected codes of T steps.
        """
        if gradient == _TRUE_CODE:
            return [self.with_kernel(lr, kernel)]
        return [self.start(lr), *super().training_steps(lr, gradient="all")]

    def _with_estimate(self, state: Estimate, sr: jax.Array, lr: jax.Array, region: Region | None) -> Estimate:
        of_sr = enlarged(region, self.scale)
        code = self.estimator(jax.lax.stop_gradient(sr), jax.lax.stop_gradient(state.code), **optional(of_sr))
        return Estimate(sr=sr, kernel=self._kernel_of(code), code=code)


def build_ikc(
    *,
    scale: typing.Literal[2, 3, 4],
    kernel_size: int = 21,
    code_length: int = 10,
    iterations: int = IKC.iterations,
    features: int = SFTMD.features,
    blocks: int = SFTMD.blocks,
    predictor_features: int = Predictor.features,
    corrector_features: int = Corrector.features,
) -> IKC:
    """IKC.

    Args:
      scale: s.
      kernel_size: K, side of the estimated kernels in HR pixels, odd.
      code_length: L, the principal components by which a kernel is described.
      iterations: T; may be changed when restoring.
      features, blocks: channels and blocks of SFTMD.
      predictor_features, corrector_features: channels of Predictor and Corrector.
    """
    return IKC(
        restorer=SFTMD(scale, features, blocks),
        predictor=Predictor(code_length, predictor_features),
        estimator=Corrector(code_length, corrector_features),
        scale=scale,
        kernel_size=kernel_size,
        code_length=code_length,
        iterations=iterations,
    )


def _convolutions(
    x: jax.Array, widths: list[int], strides: tuple[int, ...], compute: Compute, region: Region | None
) -> tuple[jax.Array, Region | None]:
    """5×5 convolutions of a compact module, each followed by a leaky ReLU; also the region of the result."""
    for i, (width, stride) in enumerate(zip(widths, strides, strict=True)):
        region = halved(region) if stride == 2 else region
        x = lrelu(conv(width, 5, stride=stride, compute=compute, name=f"conv{i}")(x, region))
    return x, region
