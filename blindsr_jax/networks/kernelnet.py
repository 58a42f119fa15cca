"""KernelNet: a blur kernel from an LR image (Yamac, Ataman and Nawaz, "KernelNet").

Four parts, of which two are trained: a gradient module guesses the sharp gradients of the LR image; FFT-1 solves for
the blur k_LR between those and the given ones; FFT-2 turns it into a blur of HR size; a refinement corrects that.

How FFT-2 meets the widths. A blur of width σ HR pixels is σ/s pixels wide in the LR image. FFT-2 convolves k_LR with
itself until 2^s of them are used, takes LR pixels for HR pixels, and so makes a kernel of width √(2^s) · σ/s: exactly σ
at ×2 (√4 / 2) and ×4 (√16 / 4), but 0.94 σ at ×3 (√8 / 3), which the refinement has to widen by 6 %. Of a Gaussian that
is the true kernel; other shapes come out rounder than they are, the more so the larger s. Errors of k_LR grow likewise:
that of its variance 2^s-fold, and so does its offset.

How it meets the positions. Keeping the upper-left pixel of each s×s block puts LR pixel n at HR pixel s·n, in the sharp
and in the blurred image alike, so a centred kernel stays centred: k_LR has its centre of mass in its central pixel, and
there is no offset to be multiplied. Bicubic downsampling puts LR pixel n at s·n + (s − 1)/2. That is why the first
stage of training uses it for the sharp and the blurred image both: to compare a bicubic sharp image with an s-fold LR
image would teach a shift of (s − 1)/(2s) LR pixels, which FFT-2 makes 1 HR pixel at ×2 and 6 at ×4. And a kernel that
is off centre cannot be told from a moved image: train and test on centred ones (``degradations.pools``).
"""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.errors import ConfigError
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.kernel_estimator import Findings, KernelEstimator
from blindsr_jax.networks.layers import conv
from blindsr_jax.networks.network import FirstStage
from blindsr_jax.ops.blur import normalize_kernel
from blindsr_jax.ops.color import rgb_to_y
from blindsr_jax.ops.fft import kernel_least_squares, self_convolve
from blindsr_jax.ops.resize import imresize
from blindsr_jax.types import Degraded, Estimate


class KernelEstimates(typing.NamedTuple):
    """What KernelNet finds on its way.

    Attributes:
      sharp: [B, H, W, 2], the sharp gradients g of the LR image, horizontal and vertical, in (−1, 1).
      kernel_lr: [B, K', K'], the blur of the LR image, from FFT-1; K' = ``KernelNet.lr_kernel_size``.
      coarse: [B, K, K], the HR kernel from FFT-2.
      refined: [B, K, K], the answer.
    """

    sharp: jax.Array
    kernel_lr: jax.Array
    coarse: jax.Array
    refined: jax.Array


def luma_gradients(images: jax.Array) -> jax.Array:
    """Forward differences of the luma (the ∂h y and ∂v y of KernelNet, section 3.2.1); zero past the last pixel.

    Args:
      images: [B, H, W, 3] in [0, 1].

    Returns:
      [B, H, W, 2] in [−1, 1]: to the pixel on the right, and to the pixel below.
    """
    # Differences first: where an image is flat they are zero to the last bit, which those of computed lumas are not.
    right = jnp.diff(images, axis=2, append=images[:, :, -1:])
    below = jnp.diff(images, axis=1, append=images[:, -1:])
    return jnp.concatenate([(rgb_to_y(difference) - 16.0) / 219.0 for difference in (right, below)], axis=-1)


class GradientModule(nn.Module):
    """Sharp gradients from blurred ones: six convolutions (KernelNet section 3.2.1).

    Before training it returns nearly what it is given: k_LR then is nearly a Dirac, from where the search is short.
    Drawn at random alone, its gradients would have no relation to the image, and FFT-1 nothing to solve.

    Attributes:
      width: channels of the five hidden layers, at least four.
      compute: see ``networks.compute``.
    """

    width: int = 128
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, gradients: jax.Array) -> jax.Array:
        """[B, H, W, 2] to [B, H, W, 2] in (−1, 1)."""
        x, layer = gradients, functools.partial(conv, kernel_init=_passing_on, compute=self.compute)
        for i, size in enumerate((9, 1, 3, 5, 1), 1):
            x = nn.relu(layer(self.width, size, name=f"conv{i}")(x))
        return nn.tanh(layer(2, 3, name="conv6")(x))


def _passing_on(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """He's initial weights, but the first four hidden channels carry ±the two gradients, which the last layer joins."""
    weights = nn.initializers.he_normal()(key, shape, dtype)
    into, out_of = shape[2:]
    signs = jnp.asarray([[1, -1, 0, 0], [0, 0, 1, -1]], dtype)  # of the parts above and below zero, [2, 4]
    if into == 2:  # the first layer
        carried = signs
    elif out_of == 2:  # the last layer
        weights, carried = weights * 0.1, signs.T
    else:
        carried = jnp.eye(4, dtype=dtype)
    rows, columns = carried.shape
    centre = shape[0] // 2
    clean = weights.at[:, :, :, :columns].set(0) if out_of > 2 else weights.at[:, :, :rows].set(0)
    return clean.at[centre, centre, :rows, :columns].set(carried)


class Refinement(nn.Module):
    """A kernel from a coarse one: three convolutions with a sigmoid after each (KernelNet section 3.2.4).

    Attributes:
      features: channels of the two hidden layers.
      compute: see ``networks.compute``.
    """

    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, coarse: jax.Array) -> jax.Array:
        """[B, K, K] to [B, K, K], non-negative, summing to one."""
        size = coarse.shape[-1]
        x = coarse[..., None] * size**2  # the mean weight becomes one, which suits the initial parameters
        layer = functools.partial(conv, kernel_init=nn.initializers.lecun_normal(), compute=self.compute)
        x = nn.sigmoid(layer(self.features, 3, name="conv1")(x))
        x = nn.sigmoid(layer(self.features, 3, name="conv2")(x))
        # Most of a kernel is nearly zero; from a bias of zero it would take long to get there.
        x = nn.sigmoid(layer(1, 1, initial_bias=-6.0, name="conv3")(x))
        return normalize_kernel(x[..., 0])


class KernelNet(KernelEstimator):
    """Estimates the blur kernel of an LR image; restores nothing.

    Attributes:
      scale, kernel_size, compute: see ``KernelEstimator``.
      width: hidden channels of the gradient module, at least 4.
      refine_features: hidden channels of the refinement.
      lam: λ of FFT-1 for each pixel of the image, so that it weighs the same at every image size; positive. Far below
        the variance of the gradients, which is about 1e-4 in blurred photographs: a larger one makes k_LR wider where
        there is less contrast.

    Raises:
      ConfigError: the width is too small.
    """

    width: int = 128
    refine_features: int = 64
    lam: float = 1e-6

    supervision: typing.ClassVar[str] = "refined_kernel"
    first_stage: typing.ClassVar[FirstStage] = FirstStage("gradient_steps", 16_000, "gradients", "bicubic")
    optimizer_groups: typing.ClassVar[dict[str, str]] = {"refinement": "estimator"}

    def __post_init__(self) -> None:
        if self.width < 4:
            raise ConfigError(f"width of KernelNet must be at least 4, got {self.width}")
        super().__post_init__()

    def setup(self) -> None:
        self.gradient_module = GradientModule(self.width, self.compute)
        self.refinement = Refinement(self.refine_features, self.compute)

    @property
    def lr_kernel_size(self) -> int:
        """K': the smallest odd number of LR pixels that span K HR pixels, at least 3."""
        return max(2 * -(-(self.kernel_size // 2) // self.scale) + 1, 3)

    def kernel_steps(self, lr: jax.Array) -> list[jax.Array]:
        """The coarse kernel and the refined one."""
        estimates = self.estimates(lr)
        return [estimates.coarse, estimates.refined]

    def findings(self, lr: jax.Array) -> Findings:
        """The sharp gradients, the kernel of the LR image, and the coarse and the refined kernel."""
        found = self.estimates(lr)
        ways = enumerate(("to the right", "downwards"))
        return Findings(
            {f"sharp gradient, {way}": found.sharp[..., i] for i, way in ways},
            {"kernel of the LR image": found.kernel_lr},
            {"coarse kernel": found.coarse, "refined kernel": found.refined},
        )

    def estimates(self, lr: jax.Array) -> KernelEstimates:
        """The kernels of LR images [B, H, W, 3] with all that was found on the way."""
        blurred = luma_gradients(lr)
        sharp = self.gradient_module(blurred)
        kernel_lr = self._solve(sharp, blurred)
        coarse = self_convolve(kernel_lr, self.scale, size=self.kernel_size)
        return KernelEstimates(sharp, kernel_lr, coarse, self.refinement(coarse))

    def sharp_gradients(self, lr: jax.Array) -> jax.Array:
        """The gradient module alone: [B, H, W, 3] to [B, H, W, 2].

        The first stage of training trains it so, on LR images from BICUBIC downsampling, towards ``gradient_targets``.
        """
        return self.gradient_module(luma_gradients(lr))

    def gradient_targets(self, hr: jax.Array) -> jax.Array:
        """What the first stage aims at: the gradients of the HR image, bicubically downsampled (KernelNet section 4.1).

        Args:
          hr: [B, s·H, s·W, 3] in [0, 1].

        Returns:
          [B, H, W, 2].
        """
        return luma_gradients(imresize(hr, 1 / self.scale))

    def training_steps(self, lr: jax.Array, *, gradient: str = "last") -> list[Estimate]:
        """What the two stages supervise: the sharp gradients alone, then the refined kernel, end to end.

        Under jit a loss that looks at the gradients alone leaves the kernels uncomputed, and the refinement as it is.
        ``gradient`` has no meaning here.
        """
        found = self.estimates(lr)
        return [Estimate(sr=None, kernel=found.refined, coarse=found.coarse, gradients=found.sharp)]

    def targets(self, hr: jax.Array, degraded: Degraded) -> Estimate:
        """``gradient_targets`` for the first stage; the true kernels [B, K, K] of s-fold LR images for the second."""
        return Estimate(sr=None, kernel=degraded.kernel, gradients=self.gradient_targets(hr))

    def _solve(self, sharp: jax.Array, blurred: jax.Array) -> jax.Array:
        """FFT-1; images smaller than its window, which tell next to nothing, are surrounded by zeros."""
        size = self.lr_kernel_size
        lack = [(0, max(size - side, 0)) for side in blurred.shape[1:3]]
        sharp, blurred = (jnp.pad(x, ((0, 0), *lack, (0, 0))) for x in (sharp, blurred))
        pixels = blurred.shape[1] * blurred.shape[2]
        return kernel_least_squares(sharp, blurred, self.lam * pixels, size)
