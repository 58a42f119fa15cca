"""KernelNet: estimates a blur kernel from an LR image (Yamac, Ataman and Nawaz, "KernelNet").

It has four parts. A gradient module estimates the sharp gradients of the LR image. FFT-1 solves for the blur k_LR
between the sharp and the observed gradients. FFT-2 converts k_LR to HR size. A refinement corrects the result. The
gradient module and the refinement are trained.

Widths. A blur of width σ HR pixels is σ/s pixels wide in the LR image. FFT-2 convolves 2^s copies of k_LR and reads LR
pixels as HR pixels, which makes a kernel of width √(2^s) · σ/s. That is exactly σ at ×2 (√4 / 2) and ×4 (√16 / 4), but
0.94 σ at ×3 (√8 / 3), where the refinement has to widen it by 6 %. Apart from that width, a Gaussian is recovered
exactly. Other shapes become rounder, more so for larger s. The error of k_LR's variance grows 2^s-fold, and so does its
offset.

Positions. Keeping the upper-left pixel of each s×s block puts LR pixel n at HR pixel s·n, in the sharp and in the
blurred image. A centred kernel therefore stays centred: the centre of mass of k_LR is its central pixel, and FFT-2 has
no offset to multiply. Bicubic downsampling puts LR pixel n at s·n + (s − 1)/2. The first stage of training therefore
uses it for both the sharp and the blurred image. Comparing a bicubic sharp image with an s-fold LR image would teach a
shift of (s − 1)/(2s) LR pixels, which FFT-2 turns into 1 HR pixel at ×2 and 6 at ×4. An off-centre kernel cannot be
distinguished from a shifted image, so train and test on centred kernels (``degradations.pools``).
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
from blindsr_jax.networks.parameters import he_normal, lecun_normal
from blindsr_jax.ops.blur import normalize_kernel
from blindsr_jax.ops.color import rgb_to_y
from blindsr_jax.ops.fft import kernel_least_squares, self_convolve
from blindsr_jax.ops.resize import imresize
from blindsr_jax.types import Degraded, Estimate


class KernelEstimates(typing.NamedTuple):
    """Intermediate and final estimates of KernelNet.

    Attributes:
      sharp: [B, H, W, 2], the sharp gradients g of the LR image, horizontal and vertical, in (−1, 1).
      kernel_lr: [B, K', K'], the blur of the LR image, from FFT-1; K' = ``KernelNet.lr_kernel_size``.
      coarse: [B, K, K], the HR kernel from FFT-2.
      refined: [B, K, K], the final kernel.
    """

    sharp: jax.Array
    kernel_lr: jax.Array
    coarse: jax.Array
    refined: jax.Array


def luma_gradients(images: jax.Array) -> jax.Array:
    """Return forward differences of the luma (∂h y and ∂v y in KernelNet, section 3.2.1); zero at the last pixels.

    Args:
      images: [B, H, W, 3] in [0, 1].

    Returns:
      [B, H, W, 2] in [−1, 1]: differences to the pixel on the right and to the pixel below.
    """
    # Differences come before the luma: on flat regions they are exactly zero, unlike differences of computed lumas.
    right = jnp.diff(images, axis=2, append=images[:, :, -1:])
    below = jnp.diff(images, axis=1, append=images[:, -1:])
    return jnp.concatenate([(rgb_to_y(difference) - 16.0) / 219.0 for difference in (right, below)], axis=-1)


class GradientModule(nn.Module):
    """Estimates sharp gradients from blurred ones with six convolutions (KernelNet section 3.2.1).

    Before training it nearly returns its input, so k_LR is nearly a Dirac kernel, from which training converges fast.
    With purely random weights its output would be unrelated to the image, and FFT-1 would have no blur to find.

    Attributes:
      width: channels of the five hidden layers, at least four.
      compute: see ``networks.compute``.
    """

    width: int = 128
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, gradients: jax.Array) -> jax.Array:
        """Map [B, H, W, 2] to [B, H, W, 2] in (−1, 1)."""
        x, layer = gradients, functools.partial(conv, kernel_init=_identity_init, compute=self.compute)
        for i, size in enumerate((9, 1, 3, 5, 1), 1):
            x = nn.relu(layer(self.width, size, name=f"conv{i}")(x))
        return nn.tanh(layer(2, 3, name="conv6")(x))


def _identity_init(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """He initialisation, except that four hidden channels carry ± the two gradients, which the last layer joins."""
    weights = he_normal(key, shape, dtype)
    into, out_of = shape[2:]
    signs = jnp.asarray([[1, -1, 0, 0], [0, 0, 1, -1]], dtype)  # of the positive and negative parts, [2, 4]
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
    """Refines a coarse kernel with three convolutions, each followed by a sigmoid (KernelNet section 3.2.4).

    Attributes:
      features: channels of the two hidden layers.
      compute: see ``networks.compute``.
    """

    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, coarse: jax.Array) -> jax.Array:
        """Map [B, K, K] to [B, K, K], non-negative, summing to one."""
        size = coarse.shape[-1]
        x = coarse[..., None] * size**2  # scales the mean weight to one, which suits the initial parameters
        layer = functools.partial(conv, kernel_init=lecun_normal, compute=self.compute)
        x = nn.sigmoid(layer(self.features, 3, name="conv1")(x))
        x = nn.sigmoid(layer(self.features, 3, name="conv2")(x))
        # Most weights of a kernel are nearly zero. Training would reach that slowly from a bias of zero.
        x = nn.sigmoid(layer(1, 1, initial_bias=-6.0, name="conv3")(x))
        return normalize_kernel(x[..., 0])


class KernelNet(KernelEstimator):
    """Estimates the blur kernel of an LR image and restores no image.

    Attributes:
      scale, kernel_size, compute: see ``KernelEstimator``.
      width: hidden channels of the gradient module, at least 4.
      refine_features: hidden channels of the refinement.
      lam: λ of FFT-1 per pixel, so that its weight does not depend on the image size; positive. It should be far below
        the variance of the gradients, which is about 1e-4 in blurred photographs. A larger value widens k_LR in images
        of low contrast.

    Raises:
      ConfigError: the width is too small.
    """

    width: int = 128
    refine_features: int = 64
    lam: float = 1e-6

    supervision: typing.ClassVar[str] = "refined_kernel"
    first_stage: typing.ClassVar[FirstStage] = FirstStage("gradient_steps", 16_000, "gradients")
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
        """K', the smallest odd number of LR pixels that span K HR pixels, at least 3."""
        return max(2 * -(-(self.kernel_size // 2) // self.scale) + 1, 3)

    @property
    def least_side(self) -> int:
        """See ``Network``; the window of FFT-1 must fit."""
        return max(super().least_side, self.lr_kernel_size)

    def kernel_steps(self, lr: jax.Array) -> list[jax.Array]:
        """Return the coarse and the refined kernel."""
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
        """Estimate the kernels of LR images [B, H, W, 3], with all intermediate results."""
        blurred = luma_gradients(lr)
        sharp = self.gradient_module(blurred)
        kernel_lr = self._solve(sharp, blurred)
        coarse = self_convolve(kernel_lr, self.scale, size=self.kernel_size)
        return KernelEstimates(sharp, kernel_lr, coarse, self.refinement(coarse))

    def sharp_gradients(self, lr: jax.Array) -> jax.Array:
        """Apply only the gradient module: [B, H, W, 3] to [B, H, W, 2].

        The first stage trains it towards ``gradient_targets``, on LR images from bicubic downsampling (not s-fold).
        """
        return self.gradient_module(luma_gradients(lr))

    def gradient_targets(self, hr: jax.Array) -> jax.Array:
        """Return the targets of the first stage: gradients of the bicubically downsampled HR image (section 4.1).

        Args:
          hr: [B, s·H, s·W, 3] in [0, 1].

        Returns:
          [B, H, W, 2].
        """
        return luma_gradients(imresize(hr, 1 / self.scale))

    def training_steps(self, lr: jax.Array, *, gradient: str = "last") -> list[Estimate]:
        """Return the estimates that the two stages supervise: first the sharp gradients, then the kernels end to end.

        Under jit, a loss of the gradients alone does not compute the kernels and leaves the refinement unchanged.
        ``gradient`` is ignored.
        """
        found = self.estimates(lr)
        return [Estimate(sr=None, kernel=found.refined, coarse=found.coarse, gradients=found.sharp)]

    def targets(self, hr: jax.Array, degraded: Degraded) -> Estimate:
        """Return ``gradient_targets`` for the first stage, and true kernels of s-fold LR images for the second."""
        return Estimate(sr=None, kernel=degraded.kernel, gradients=self.gradient_targets(hr))

    def _solve(self, sharp: jax.Array, blurred: jax.Array) -> jax.Array:
        """Solve FFT-1. Images smaller than its window, which determine little, are padded with zeros."""
        size = self.lr_kernel_size
        lack = [(0, max(size - side, 0)) for side in blurred.shape[1:3]]
        sharp, blurred = (jnp.pad(x, ((0, 0), *lack, (0, 0))) for x in (sharp, blurred))
        pixels = blurred.shape[1] * blurred.shape[2]
        return kernel_least_squares(sharp, blurred, self.lam * pixels, size)
