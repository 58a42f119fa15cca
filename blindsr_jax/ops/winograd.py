"""3×3 convolutions and their gradients with half the multiplications, for CPUs.

This is Winograd's minimal filtering F(4, 3) along the columns of an image (Lavin and Gray, CVPR 2016, section 4). Four
outputs below each other, a tile, need six inputs d of each of three columns. With Bᵀ, G and A below,
y = Aᵀ Σ (G k) ⊙ (Bᵀ d), where the sum is over the columns and the channels. It is six convolutions of 1×3 pixels, each
over a quarter of the rows, which XLA shares among the cores. The inputs are whole rows, which lie in memory one after
another.

The gradient with respect to the kernel is Gᵀ Σ (A g) ⊗ (Bᵀ d), where the sum is over the tiles.

The matrices are those of polynomials that are evaluated at the points 0, ±3/4, ±3/2 and ∞ (Toom and Cook's algorithm).
With these points rounding errors are 1.4 times those of the direct sum (``benchmarks/README.md``).
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import polynomial

_TAPS = 3  # of the filter
_OUTPUTS = 4  # at a time
_POINTS = (0, 3 / 4, -3 / 4, 3 / 2, -3 / 2)  # and ∞
_LEAST_CHANNELS, _LEAST_ROWS = 16, 16
_CHUNK = 512  # pixels whose products are summed at a time; they fit in a core's cache

Padding = tuple[tuple[int, int], tuple[int, int]]


def _matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Bᵀ [6, 6], G [6, 3] and Aᵀ [4, 6], whose entries are products of the points."""
    others = [[q for q in _POINTS if q != p] for p in _POINTS]
    inputs = np.zeros((len(_POINTS) + 1,) * 2)
    for row, roots in zip(inputs, [*others, _POINTS]):
        row[: len(roots) + 1] = polynomial.polyfromroots(roots)
    powers = np.vander(_POINTS, _OUTPUTS, increasing=True)
    taps = powers[:, :_TAPS] / [[np.prod(np.subtract(p, roots))] for p, roots in zip(_POINTS, others)]
    taps, outputs = (np.vstack([x, np.eye(x.shape[1])[-1]]) for x in (taps, powers))
    return inputs, taps, outputs.T


_B, _G, _A = (matrix.astype(np.float32) for matrix in _matrices())


def suits(x: jax.Array, kernel: jax.Array, padding: Padding) -> bool:
    """Whether this form applies to a convolution of [B, H, W, C] by [k, k, C, C'] and is faster."""
    size, channels = kernel.shape[0], kernel.shape[2:]
    if size != _TAPS or x.dtype != jnp.float32 or min(channels) < _LEAST_CHANNELS:
        return False
    height, width = _result(x, padding)
    return height >= _LEAST_ROWS and width > 0


def convolve(x: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """Correlate.

    Args:
      x: [B, H, W, C], float32.
      kernel: [3, 3, C, C'].
      padding: number of zeros before and after, for rows and then for columns.

    Returns:
      [B, H', W', C'].
    """
    height = _result(x, padding)[0]
    x = jax.lax.optimization_barrier(x)  # otherwise XLA computes it again for each of its uses
    factors = jnp.einsum("pi,ijco->pjco", _G, kernel)
    parts = []
    for rows, factor, outputs in zip(_transformed(x, padding[0][0], -(-height // _OUTPUTS)), factors, _A.T):
        products = jax.lax.conv_general_dilated(
            rows, factor[None], (1, 1), ((0, 0), padding[1]), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        parts.append(products[:, :, None] * outputs.reshape(1, 1, -1, 1, 1))
    y = sum(parts[1:], parts[0])
    return y.reshape(y.shape[0], -1, *y.shape[3:])[:, :height]


def kernel_gradient(x: jax.Array, g: jax.Array, padding: Padding) -> jax.Array:
    """Return the gradient of ``convolve`` with respect to its kernel.

    Args:
      x, padding: the input of the convolution.
      g: [B, H', W', C'], the gradient with respect to the result.

    Returns:
      [3, 3, C, C'].
    """
    (batch, height, width, features), channels = g.shape, x.shape[-1]
    tiles = -(-height // _OUTPUTS)
    share = max(n for n in range(1, tiles + 1) if tiles % n == 0 and (n == 1 or n * _OUTPUTS * width <= _CHUNK))
    missing = tiles * _OUTPUTS - height
    (top, bottom), columns = padding
    x = jnp.pad(x, ((0, 0), (top, bottom + missing), columns, (0, 0)))
    g = jnp.pad(g, ((0, 0), (0, missing), (0, 0), (0, 0)))

    def add_chunk(index: jax.Array, total: jax.Array) -> jax.Array:
        image, first = index // (tiles // share), index % (tiles // share) * share * _OUTPUTS

        def rows(whole: jax.Array, count: int) -> jax.Array:
            return jax.lax.dynamic_slice_in_dim(whole[image], first, count)[None]

        inputs, errors = rows(x, share * _OUTPUTS + _TAPS - 1), rows(g, share * _OUTPUTS)
        inputs, errors = jax.lax.optimization_barrier((inputs, errors))
        products = []
        for d, weights in zip(_transformed(inputs, 0, share), _A.T):
            beside = jnp.concatenate([d[0, :, j : j + width] for j in range(_TAPS)], axis=-1)
            e = _weighted(weights, [errors[0, j::_OUTPUTS] for j in range(_OUTPUTS)])
            products.append(e.reshape(-1, features).T @ beside.reshape(-1, _TAPS * channels))
        return total + jnp.stack(products)

    nothing = jnp.zeros((len(_B), features, _TAPS * channels), jnp.float32)
    total = jax.lax.fori_loop(0, batch * (tiles // share), add_chunk, nothing)
    return jnp.einsum("pi,pojc->ijco", _G, total.reshape(len(_B), features, _TAPS, channels))


def _transformed(x: jax.Array, top: int, tiles: int) -> list[jax.Array]:
    """Return Bᵀd of all tiles of [B, H, W, C], with so many rows of zeros on top: six maps [B, tiles, W, C].

    The rows of the tiles are taken from x itself, with zeros where there are none. A padded copy would take most of the
    time that the filtering saves on large maps.
    """
    given = []
    for row in range(_OUTPUTS + _TAPS - 1):
        before = int(row < top)
        rows = x[:, row - top + before * _OUTPUTS :: _OUTPUTS][:, : tiles - before]
        missing = tiles - before - rows.shape[1]
        above, below = (jnp.zeros_like(x, shape=(x.shape[0], n, *x.shape[2:])) for n in (before, missing))
        given.append(jnp.concatenate([above, rows, below], axis=1))
    return [_weighted(weights, given) for weights in _B]


def _weighted(weights: np.ndarray, values: typing.Sequence[jax.Array]) -> jax.Array:
    """Return the weighted sum of arrays, without those of weight zero."""
    terms = [weight * value for weight, value in zip(weights, values) if weight]
    return sum(terms[1:], terms[0])


def _result(x: jax.Array, padding: Padding) -> tuple[int, int]:
    """The height and the width of the result."""
    height, width = (length + sum(zeros) - _TAPS + 1 for length, zeros in zip(x.shape[1:3], padding))
    return height, width
