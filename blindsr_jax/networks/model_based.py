"""Classical estimation of an SR kernel: interpolation and blind deblurring (KernelNet, section 2.1, eq. 3 to 6).

The LR luma is enlarged bicubically. Then image and kernel are estimated in turn, coarse to fine, from a small image
with a small kernel to the full size. The image step favours sparse gradients: min ‖x ⊗ k − b‖² + λ‖∇x‖₀ by
half-quadratic splitting (Xu et al., "Unnatural L0 sparse representation for natural image deblurring", CVPR 2013). The
kernel step is KernelNet's least squares on gradients (``kernel_least_squares``). The paper's reference [30] (Pan et
al., CVPR 2016) adds a dark channel prior. It is omitted because it says little about blurs this narrow.

Position of the kernel. Interpolation puts LR pixel n at s·n + (s − 1)/2, while s-fold sampling means s·n. This shifts
the whole blurred image. The sharp image is computed from it and shifts equally, so the kernel between them is not
shifted. Blind deblurring cannot determine the offset of the kernel, so its centre of mass is moved to the central
pixel, as for all kernels here.

Effect of the interpolation. The estimated kernel k' = k ⊗ b_s includes the interpolation (eq. 5) and is returned
without correction. Keys' cubic reproduces parabolas, so its second moment is zero and k' is as wide as k. Its shape
differs: for Gaussians by 0.17 to 0.18 in ℓ1 at σ = 0.6·s, by 0.08 at σ = 0.8·s, and by 0.5 at σ = 0.4·s, which is
narrower than any kernel of our pools. Removing b_s, by blurring the sharp gradients with it before the kernel step, was
tried. It made estimates on photographs worse (ℓ1 0.40 instead of 0.23 at ×2), since frequencies that b_s dampens return
as noise.
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

# Chosen on training photographs with training kernels of the pool. Halving or doubling any of them changes the kernel's
# ℓ1 error by a few hundredths.
_EDGE_WEIGHT = 2e-3  # λ of the image step, for luma in [0, 1]
_LAST_SPLIT = 1e2  # end of the splitting's β, which starts at 2λ and doubles
_KERNEL_WEIGHT = 6e-6  # λ of the kernel per pixel and s²: a kernel s times wider has weights s² times smaller
_ROUNDS = 5  # image and kernel steps at each size
_SMALLEST_KERNEL = 9  # kernel size at which the pyramid starts
_FAINT, _ISLAND = 0.04, 0.1  # smaller weights, relative to the largest, and islands, relative to the sum, are noise
_WINDOW = 512  # side in LR pixels of the central window that is used; more pixels help little


class ModelBased(KernelEstimator):
    """Estimates a kernel by blind deblurring with sparse gradients. It has no parameters.

    Attributes:
      scale, kernel_size: see ``KernelEstimator``.
    """

    def kernel_steps(self, lr: jax.Array) -> list[jax.Array]:
        """Return the kernel [B, K, K] as the only step. For flat images it is the initial Gaussian."""
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
    """Return the odd kernel sizes of an image pyramid with factor √2, largest first.

    >>> pyramid(17)
    [17, 13, 9]
    """
    sizes = [kernel_size]
    while (size := 2 * round((kernel_size / 2 ** (len(sizes) / 2) - 1) / 2) + 1) >= _SMALLEST_KERNEL:
        sizes.append(size)
    return sizes


def alternate(blurred: jax.Array, kernel: jax.Array, inside: list[int], kernel_weight: float) -> jax.Array:
    """Alternate image and kernel steps at one size of the pyramid.

    Args:
      blurred: [B, H, W, 1] in [0, 1], extended so that it wraps.
      kernel: [B, K, K], the initial kernel.
      inside: height and width of the upper-left part without the extension; only this part determines the kernel.
      kernel_weight: λ of the kernel per pixel.

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
    """Estimate sparse gradients of the sharp image: min_x ‖x ⊗ k − b‖² + λ‖∇x‖₀ by half-quadratic splitting.

    Two steps alternate while β doubles. The first sets g = ∇x where |∇x|² ≥ λ/β, else zero. The second solves for x
    from b and g with ``gradient_solver``.

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
    """Remove the faintest weights of a kernel and small islands of weights, then normalise it to sum to one.

    Args:
      kernel: [B, K, K], non-negative.

    Returns:
      [B, K, K]; all zeros for a zero kernel.
    """
    size = kernel.shape[1]
    kernel = jnp.where(kernel >= _FAINT * kernel.max(axis=(1, 2), keepdims=True), kernel, 0)
    there = kernel > 0
    numbers = jnp.where(there, jnp.arange(1, size**2 + 1).reshape(1, size, size), 0)

    def propagate(_: int, island: jax.Array) -> jax.Array:  # propagates the largest number of an island over the island
        largest = jax.lax.reduce_window(island, 0, jax.lax.max, (1, 3, 3), (1, 1, 1), "SAME")
        return jnp.where(there, largest, 0)

    island = jax.lax.fori_loop(0, 3 * size, propagate, numbers)
    none = jnp.zeros(size**2 + 1, kernel.dtype)
    weight_of = jax.vmap(lambda numbers, weights: none.at[numbers].add(weights)[numbers])
    enough = weight_of(island, kernel) >= _ISLAND * kernel.sum(axis=(1, 2), keepdims=True)
    return normalize_kernel(jnp.where(enough, kernel, 0))


def placed(kernel: jax.Array, size: int, factor: float = 1.0) -> jax.Array:
    """Resize a kernel and move its centre of mass to the central pixel, by cubic interpolation.

    This is the counterpart of ``move_kernel`` for compiled code.

    Args:
      kernel: [B, K, K].
      size: side of the result, odd.
      factor: magnification of the kernel.

    Returns:
      [B, size, size], non-negative, summing to one; all zeros for a zero kernel.
    """
    axis = jnp.arange(kernel.shape[1], dtype=kernel.dtype)

    def one(kernel: jax.Array) -> jax.Array:
        total = jnp.maximum(kernel.sum(), 1e-12)
        centre = jnp.stack([kernel.sum(axis=1) @ axis, kernel.sum(axis=0) @ axis]) / total
        move = size / 2 - factor * (centre + 0.5)  # in coordinates that are integers at pixel edges
        scale = jnp.full(2, factor, kernel.dtype)
        return jax.image.scale_and_translate(kernel, (size, size), (0, 1), scale, move, "cubic", antialias=False)

    return normalize_kernel(jax.vmap(one)(kernel))
