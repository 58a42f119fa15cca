"""Correlation with one kernel per image as products with band matrices, for the matrix units of TPUs."""

from __future__ import annotations

import jax
import jax.numpy as jnp

_BLOCK = 128  # columns computed at a time: the lanes of a TPU


def correlate_by_bands(padded: jax.Array, kernel: jax.Array) -> jax.Array:
    """Correlate each image with its kernel, where the kernel lies whole within the image.

    For each row of the kernel, the columns of a block are products of the columns below them with a band matrix, which
    holds the row once for each column. The products are summed in a scan over the rows, in full float32.

    Args:
      padded: [B, H + K − 1, W + K − 1, C].
      kernel: [B, K, K], or [1, K, K] shared by all images.

    Returns:
      [B, H, W, C].
    """
    (batch, _, _, channels), size = padded.shape, kernel.shape[1]
    height, width = (length - size + 1 for length in padded.shape[1:3])
    blocks, reads = -(-width // _BLOCK), _BLOCK + size - 1
    planes = jnp.pad(padded, ((0, 0), (0, 0), (0, blocks * _BLOCK - width), (0, 0))).transpose(0, 3, 1, 2)
    windows = jnp.stack([planes[..., i * _BLOCK : i * _BLOCK + reads] for i in range(blocks)], axis=2)

    def add_kernel_row(total: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        offset, weights = row  # weights: [B or 1, K]
        lines = jax.lax.dynamic_slice_in_dim(windows, offset, height, axis=3)
        bands = jnp.broadcast_to(_band_matrices(weights), (batch, _BLOCK, reads))
        return total + jnp.einsum("bcnhr,bor->bcnho", lines, bands, precision="highest"), None

    rows = (jnp.arange(size), kernel.transpose(1, 0, 2))
    start = jnp.zeros((batch, channels, blocks, height, _BLOCK), padded.dtype)
    total = jax.lax.scan(add_kernel_row, start, rows)[0]
    return total.transpose(0, 3, 2, 4, 1).reshape(batch, height, blocks * _BLOCK, channels)[:, :, :width]


def _band_matrices(weights: jax.Array) -> jax.Array:
    """Return matrices whose row o holds the weights [B, K] from column o on: [B, block, block + K − 1]."""
    batch, size = weights.shape
    reads = _BLOCK + size - 1
    period = jnp.pad(weights, ((0, 0), (0, reads + 1 - size)))  # one longer than a row: each row starts one later
    return jnp.tile(period, (1, _BLOCK))[:, : _BLOCK * reads].reshape(batch, _BLOCK, reads)
