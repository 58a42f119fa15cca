"""Blur with one kernel per image, the ``x ⊗ k`` of every degradation."""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp

from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import check_floating, check_images, check_kernels
from blindsr_jax.ops.band_matrices import correlate_by_bands

BorderMode = typing.Literal["reflect", "symmetric", "circular"]
_PAD_MODES = {"reflect": "reflect", "symmetric": "symmetric", "circular": "wrap"}


def blur(x: jax.Array, kernel: jax.Array, mode: BorderMode = "reflect") -> jax.Array:
    """Correlate each image with its kernel (DAN eq. 1, without the downsampling).

    Formula: y[h, w] = Σ_ij kernel[i, j] · x[h + i − ⌊K/2⌋, w + j − ⌊K/2⌋], for each channel.

    The loop over kernel rows is a scan. Within a row, shifted reads are summed; XLA fuses them into one pass. On CPU
    this is six to eleven times faster than XLA's grouped convolution. On a TPU, a row is a product with a band matrix,
    in full float32. Unlike an FFT, neither needs a collective when the batch is sharded (``benchmarks/README.md``).

    Args:
      x: [B, H, W, C].
      kernel: [B, K, K], or [1, K, K] shared by all images; K is odd.
      mode: ``reflect`` mirrors about the border pixel without repeating it (PyTorch's ``reflect``); ``symmetric``
        repeats it (MATLAB's ``symmetric``, SciPy's ``reflect``); ``circular`` wraps around.

    Returns:
      [B, H, W, C], with the dtype of x.

    Raises:
      InputError: the kernel is even-sized, not square, of another batch size, without a positive sum, or too large
        for the image; or there are other numbers than finite floating-point ones.
    """
    batch, height, width, _ = check_images("x", x).shape
    if mode not in _PAD_MODES:
        raise InputError(f"mode must be one of {sorted(_PAD_MODES)}, got {mode!r}")
    check_kernels(kernel, batch)
    size = kernel.shape[1]
    pad = size // 2
    largest = min(height, width) - (mode == "reflect")
    if pad > largest:
        raise InputError(f"a {size}x{size} kernel is too large for a {height}x{width} image ({mode} padding)")

    padded = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode=_PAD_MODES[mode])
    kernel = jnp.asarray(kernel, x.dtype)
    return jax.lax.platform_dependent(padded, kernel, tpu=correlate_by_bands, default=_by_shifted_reads)


def _by_shifted_reads(padded: jax.Array, kernel: jax.Array) -> jax.Array:
    """Correlate images [B, H + K − 1, W + K − 1, C] with kernels [B or 1, K, K]: [B, H, W, C]."""
    size = kernel.shape[1]
    height, width = (length - size + 1 for length in padded.shape[1:3])

    def add_kernel_row(total: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        offset, weights = row  # weights: [B or 1, K]
        lines = jax.lax.dynamic_slice_in_dim(padded, offset, height, axis=1)
        for column in range(size):
            total += lines[:, :, column : column + width] * weights[:, column, None, None, None]
        return total, None

    rows = (jnp.arange(size), kernel.transpose(1, 0, 2))
    start = jnp.zeros((padded.shape[0], height, width, padded.shape[3]), padded.dtype)
    return jax.lax.scan(add_kernel_row, start, rows)[0]


def normalize_kernel(kernel: jax.Array) -> jax.Array:
    """Clip negative weights and scale the kernel to sum to one, for decoded or estimated kernels.

    Args:
      kernel: [..., K, K].

    Returns:
      [..., K, K], non-negative, summing to one; all zeros, with a finite gradient, if no weight is positive.
    """
    kernel = jnp.maximum(check_floating("kernel", kernel), 0.0)
    total = kernel.sum(axis=(-2, -1), keepdims=True)
    return kernel / jnp.where(total > 1e-12, total, 1.0)
