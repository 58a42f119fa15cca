"""3×3 convolutions with half the multiplications, for CPU cores that share them.

This is Winograd's minimal filtering F(4, 3) along the rows of an image (Lavin and Gray, CVPR 2016, section 4). Four
neighbouring outputs need six inputs d of each of three rows. With Bᵀ, G and A below, y = Aᵀ Σ (G k) ⊙ (Bᵀ d), where the
sum is over the rows and the channels. It is six convolutions of 3×1 pixels, each over a quarter of the columns, which
XLA shares among the cores. The form in two dimensions (``winograd_2d``) consists of many small products instead.

The matrices are those of polynomials that are evaluated at the points 0, ±3/4, ±3/2 and ∞ (Toom and Cook's algorithm).
With these points rounding errors are 1.4 times those of the direct sum (``benchmarks/README.md``).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import polynomial

from blindsr_jax.ops.winograd_2d import Padding

_TAPS = 3  # of the filter
_OUTPUTS = 4  # at a time
_POINTS = (0, 3 / 4, -3 / 4, 3 / 2, -3 / 2)  # and ∞
_LEAST_CHANNELS, _LEAST_COLUMNS = 16, 16


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
    return height > 0 and width >= _LEAST_COLUMNS


def convolve(x: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """Correlate.

    Args:
      x: [B, H, W, C], float32.
      kernel: [3, 3, C, C'].
      padding: number of zeros before and after, for rows and then for columns.

    Returns:
      [B, H', W', C'].
    """
    height, width = _result(x, padding)
    tiles = -(-width // _OUTPUTS)
    factors = jnp.einsum("pj,ijco->pico", _G, kernel)
    ends = height + _TAPS - 1, (tiles + 1) * _OUTPUTS
    zeros = [(before, end - length - before) for (before, _), end, length in zip(padding, ends, x.shape[1:3])]
    return _of_tiles(jnp.pad(x, ((0, 0), *zeros, (0, 0))), factors)[:, :, :width]


def _of_tiles(x: jax.Array, factors: jax.Array) -> jax.Array:
    """Map [B, R + 2, 4·(N + 1), C] and [6, 3, C, C'] to [B, R, 4·N, C']."""
    batch, rows, columns, channels = x.shape
    x = x.reshape(batch, rows, -1, _OUTPUTS, channels)
    given = [x[:, :, :-1, i] for i in range(_OUTPUTS)] + [x[:, :, 1:, i] for i in range(_TAPS - 1)]
    parts = []
    for weights, factor, outputs in zip(_B, factors, _A.T):
        transformed = sum(weight * value for weight, value in zip(weights, given) if weight)
        products = jax.lax.conv_general_dilated(
            transformed, factor[:, None], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        parts.append(products[:, :, :, None] * outputs.reshape(1, 1, 1, -1, 1))
    y = sum(parts[1:], parts[0])
    return y.reshape(batch, rows - _TAPS + 1, columns - _OUTPUTS, -1)


def _result(x: jax.Array, padding: Padding) -> tuple[int, int]:
    """The height and the width of the result."""
    height, width = (length + sum(zeros) - _TAPS + 1 for length, zeros in zip(x.shape[1:3], padding))
    return height, width
