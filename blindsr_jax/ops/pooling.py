"""Means over bins of an image, also from parts of it: adaptive average pooling as a product with two matrices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import check_images


def bin_weights(length: int, bins: int, *, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Compute the weight of each pixel of an axis in the means over its bins, as PyTorch's adaptive pooling has them.

    Bin i holds the pixels from ⌊i·n/bins⌋ to ⌈(i+1)·n/bins⌉ − 1 of n. Bins overlap where n is no multiple of their
    number, and also where there are fewer pixels than bins.

    Args:
      length: n, at least one.
      bins: number of bins.
      start, stop: the pixels outside of [start, stop) get no weight. The weights of parts that cover the axis once add
        up to those of the whole axis.

    Returns:
      float32 [bins, n]; rows sum to one for a whole axis.

    >>> bin_weights(4, 3).round(2).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    if length < 1 or bins < 1:
        raise InputError(f"there must be pixels and bins, got {length} pixels and {bins} bins")
    places, index = np.arange(length)[None], np.arange(bins)[:, None]
    inside = (places >= index * length // bins) & (places < -(-(index + 1) * length // bins))
    weights = inside / inside.sum(axis=1, keepdims=True)
    kept = (places >= start) & (places < (length if stop is None else stop))
    return (weights * kept).astype(np.float32)


def pool(x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Add up the pixels of images with the weights of ``bin_weights`` along each axis.

    Args:
      x: [B, H, W, C].
      rows: [N, H].
      columns: [M, W].

    Returns:
      [B, N, M, C], in float32 on every device.
    """
    check_images("x", x)
    exact = jax.lax.Precision.HIGHEST
    across = jnp.einsum("bhwc,mw->bhmc", x, jnp.asarray(columns, x.dtype), precision=exact)
    return jnp.einsum("bhmc,nh->bnmc", across, jnp.asarray(rows, x.dtype), precision=exact)
