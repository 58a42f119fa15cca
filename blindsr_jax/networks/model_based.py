"""The classical estimate of an SR kernel: interpolate, then deblur blindly (KernelNet, section 2.1, eq. 3 to 6).

The LR luma is enlarged bicubically; then image and kernel are found in turn, from a small image with a small kernel to
the whole one. The image is that of few gradients which explains the blurred one, min ‖x ⊗ k − b‖² + λ‖∇x‖₀ by
half-quadratic splitting (Xu et al., "Unnatural L0 sparse representation for natural image deblurring", CVPR 2013); the
kernel is KernelNet's own least squares on gradients (``kernel_least_squares``). The dark channel, which the paper's
[30] adds to that (Pan et al., CVPR 2016), is left out: of blurs this narrow it says little.

Where the kernel lies. Interpolation puts LR pixel n at s·n + (s − 1)/2, s-fold sampling means s·n. That moves the whole
blurred image, and the sharp one is made from it and moves along; so no shift enters the kernel between the two. What
blind deblurring cannot tell is that kernel's own offset, and it is put on its centre of mass, as all kernels here are.

What the interpolation does. The kernel k' = k ⊗ b_s that is found includes it (eq. 5), and the answer is k' as it is.
Keys' cubic reproduces parabolas, so its second moment is zero and k' has the width of k; but its form differs, of
Gaussians by 0.17 to 0.18 in ℓ1 where σ = 0.6·s, by 0.08 where σ = 0.8·s, and by 0.5 where σ = 0.4·s, which our pools do
not reach. To take b_s out again, by blurring the sharp gradients with it before the kernel is solved for, was tried and
made estimates on photographs worse (ℓ1 0.40 for 0.23 at ×2): what b_s dampens comes back as noise.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.kernels import isotropic_gaussian
from blindsr_jax.networks.fixed_gaussian import GAUSSIAN_WIDTHS
from blindsr_jax.networks.kernel_estimator import KernelEstimator
from blindsr_jax.ops.blur import normalize_kernel
from blindsr_jax.ops.borders import wrap_smoothly
from blindsr_jax.ops.color import rgb_to_y
from blindsr_jax.ops.fft import circular_gradients, gradient_solver, kernel_least_squares
from blindsr_jax.ops.resize import imresize

# Chosen on photographs to train on, with kernels of the pool to train on; every one may be halved or doubled for a few
# hundredths of the kernel's ℓ1.
_EDGE_WEIGHT = 2e-3  # λ of the image, of luma in [0, 1]
_LAST_SPLIT = 1e2  # where β of the splitting ends, which doubles from 2λ on
_KERNEL_WEIGHT = 6e-6  # λ of the kernel, for each pixel, times s²: a kernel s times wider has weights s² times smaller
_ROUNDS = 5  # image and kernel in turn, at each size
_SMALLEST_KERNEL = 9  # where the pyramid begins
_FAINT, _ISLAND = 0.04, 0.1  # weights below this part of the largest, and islands below this part of the sum, are noise
_WINDOW = 512  # LR pixels a side that are looked at, in the image's centre: more tell hardly more


class ModelBased(KernelEstimator):
    """Blind deblurring of the interpolated image by sparse gradients. It has no parameters.

    Attributes:
      scale, kernel_size: see ``KernelEstimator``.
    """

    def kernel_steps(self, lr: jax.Array) -> list[jax.Array]:
        """The kernel [B, K, K]; where an image is flat, the fixed Gaussian that the search starts from."""
        top, left = (max(side - _WINDOW, 0) // 2 for side in lr.shape[1:3])
        luma = (rgb_to_y(lr[:, top : top + _WINDOW, left : left + _WINDOW]) - 16.0) / 219.0
        reach = 2 * -(-self.kernel_size // self.scale)
        blurred = imresize(wrap_smoothly(luma, reach), self.scale)
        inside = [side * self.scale for side in luma.shape[1:3]]

        sizes = pyramid(self.kernel_size)
        factors = [1.0 if size == self.kernel_size else 2 ** (-i / 2) for i, size in enumerate(sizes)][::-1]
        start = isotropic_gaussian(GAUSSIAN_WIDTHS[self.scale] * factors[0], sizes[-1]).astype(lr.dtype)
        kernel = jnp.broadcast_to(start, (lr.shape[0], *start.shape))
        before = factors[0]
        for factor, size in zip(factors, sizes[::-1]):
            image = blurred if factor == 1 else imresize(blurred, factor)
            kernel = placed(kernel, size, factor / before)
            kernel = alternate(image, kernel, [round(side * factor) for side in inside], _KERNEL_WEIGHT * self.scale**2)
            before = factor
        return [kernel]


def pyramid(kernel_size: int) -> list[int]:
    """The odd sizes of a kernel whose image is made smaller by √2 again and again, the largest first.

    >>> pyramid(17)
    [17, 13, 9]
    """
    sizes = [kernel_size]
    while (size := 2 * round((kernel_size / 2 ** (len(sizes) / 2) - 1) / 2) + 1) >= _SMALLEST_KERNEL:
        sizes.append(size)
    return sizes


def alternate(blurred: jax.Array, kernel: jax.Array, inside: list[int], kernel_weight: float) -> jax.Array:
    """Finds image and kernel in turn, at one size of the pyramid.

    Args:
      blurred: [B, H, W, 1] in [0, 1], extended so that it wraps.
      kernel: [B, K, K], where to start.
      inside: height and width of its upper-left part that is not extension; the kernel is told from that alone.
      kernel_weight: λ of the kernel, for each pixel.

    Returns:
      [B, K, K], non-negative, summing to one, centred.
    """
    size, (height, width) = kernel.shape[1], blurred.shape[1:3]
    seen = np.zeros((1, height, width, 1), np.float32)
    seen[:, : inside[0], : inside[1]] = 1
    gradients = circular_gradients(blurred) * seen

    def round_(_: int, kernel: jax.Array) -> jax.Array:
        sharp = sparse_gradients(blurred, kernel) * seen
        found = kernel_least_squares(sharp, gradients, kernel_weight * height * width, size)
        found = placed(without_noise(found), size)
        return jnp.where(found.sum(axis=(1, 2), keepdims=True) > 0.5, found, kernel)

    return jax.lax.fori_loop(0, _ROUNDS, round_, kernel)


def sparse_gradients(blurred: jax.Array, kernel: jax.Array) -> jax.Array:
    """The gradients of the image that a blur was, if it had few: min_x ‖x ⊗ k − b‖² + λ‖∇x‖₀, by splitting.

    In turn, with β doubling: g = ∇x where |∇x|² ≥ λ/β, else zero; x = the image that explains b and has such gradients.

    Args:
      blurred: [B, H, W, 1] in [0, 1].
      kernel: [B, K, K].

    Returns:
      The last g: [B, H, W, 2].
    """
    solve = gradient_solver(blurred, kernel)
    steps = math.ceil(math.log2(_LAST_SPLIT / (2 * _EDGE_WEIGHT)))
    weights = jnp.asarray(2 * _EDGE_WEIGHT * 2.0 ** np.arange(steps), blurred.dtype)

    def edges(x: jax.Array, weight: jax.Array) -> jax.Array:
        gradients = circular_gradients(x)
        strength = jnp.square(gradients).sum(axis=-1, keepdims=True)
        return jnp.where(strength >= _EDGE_WEIGHT / weight, gradients, 0)

    def body(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, None]:
        return solve(edges(x, weight), weight), None

    x, _ = jax.lax.scan(body, blurred, weights)
    return edges(x, weights[-1])


def without_noise(kernel: jax.Array) -> jax.Array:
    """A kernel without its faintest weights and without small islands of weights, summing to one again.

    Args:
      kernel: [B, K, K], non-negative.

    Returns:
      [B, K, K]; all zeros for a kernel that is.
    """
    size = kernel.shape[1]
    kernel = jnp.where(kernel >= _FAINT * kernel.max(axis=(1, 2), keepdims=True), kernel, 0)
    there = kernel > 0
    numbers = jnp.where(there, jnp.arange(1, size**2 + 1).reshape(1, size, size), 0)

    def spread(_: int, island: jax.Array) -> jax.Array:  # the largest number of an island spreads over all of it
        largest = jax.lax.reduce_window(island, 0, jax.lax.max, (1, 3, 3), (1, 1, 1), "SAME")
        return jnp.where(there, largest, 0)

    island = jax.lax.fori_loop(0, 3 * size, spread, numbers)
    weight_of = jax.vmap(lambda numbers, weights: jnp.zeros(size**2 + 1).at[numbers].add(weights)[numbers])
    enough = weight_of(island, kernel) >= _ISLAND * kernel.sum(axis=(1, 2), keepdims=True)
    return normalize_kernel(jnp.where(enough, kernel, 0))


def placed(kernel: jax.Array, size: int, factor: float = 1.0) -> jax.Array:
    """A kernel made larger or smaller, with its centre of mass in the central pixel, by cubic interpolation.

    This does inside compiled code what ``move_kernel`` does outside.

    Args:
      kernel: [B, K, K].
      size: side of the result, odd.
      factor: how much larger the kernel becomes.

    Returns:
      [B, size, size], non-negative, summing to one; all zeros for a kernel that is.
    """
    axis = jnp.arange(kernel.shape[1], dtype=kernel.dtype)

    def one(kernel: jax.Array) -> jax.Array:
        total = jnp.maximum(kernel.sum(), 1e-12)
        centre = jnp.stack([kernel.sum(axis=1) @ axis, kernel.sum(axis=0) @ axis]) / total
        move = size / 2 - factor * (centre + 0.5)  # of coordinates that are whole at the pixels' edges
        scale = jnp.full(2, factor, kernel.dtype)
        return jax.image.scale_and_translate(kernel, (size, size), (0, 1), scale, move, "cubic", antialias=False)

    return normalize_kernel(jax.vmap(one)(kernel))
