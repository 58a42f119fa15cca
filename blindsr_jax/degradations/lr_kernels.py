"""Kernels of LR images: those that blur the bicubically downsampled HR image instead of the HR image (DCLS)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from blindsr_jax.ops.fft import kernel_least_squares

_LARGE = 41  # the weights that are certainly no noise: as many as a 21×21 kernel of DCLS's widest blur has
_FAINT = 0.75  # of the smallest of them; what is below is cut off, the others are lowered by it
_TINY = 1e-20  # against 0 / 0


def reformulated_kernel(clean: jax.Array, blurred: jax.Array, size: int) -> jax.Array:
    """Find the kernel between an LR image without blur and one with blur: the target of DCLS's Estimator.

    Each colour is divided in the Fourier domain, so borders are circular. The three kernels are averaged where the
    product of their weights is positive. Then 0.75 times the 41st largest weight is subtracted, what is below zero cut
    off, and the rest scaled to sum to one.

    Args:
      clean: [B, H, W, 3], the bicubically downsampled HR image.
      blurred: [B, H, W, 3], the LR image without noise and without rounding.
      size: K, odd, no larger than the image and at least 7.

    Returns:
      [B, K, K], correlation kernels as for ``ops.blur``, non-negative, summing to one.

    Raises:
      InputError: the shapes differ, or the window is even or larger than the image.
    """
    batch, height, width, colours = clean.shape

    def of_colours(x: jax.Array) -> jax.Array:
        return jnp.moveaxis(x, -1, 1).reshape(batch * colours, height, width, 1)

    found = kernel_least_squares(of_colours(clean), of_colours(blurred), _TINY, size, normalize=False)
    found = found.reshape(batch, colours, size, size)
    kernel = jnp.where(found.prod(axis=1) > 0, found.mean(axis=1), 0)
    faint = _FAINT * jax.lax.top_k(kernel.reshape(batch, -1), _LARGE)[0][:, -1]
    kernel = jnp.clip(kernel - faint[:, None, None], 0, 1)
    kernel = kernel.at[:, size // 2 - 1, size // 2 - 1].add(_TINY)  # the authors' pixel; one of a convolution kernel
    return kernel / kernel.sum(axis=(1, 2), keepdims=True)
