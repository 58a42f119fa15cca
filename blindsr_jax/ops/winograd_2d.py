"""3×3 convolutions with 2.25 times fewer multiplications.

This is Winograd's minimal filtering F(2×2, 3×3) (Lavin and Gray, CVPR 2016, section 4.1). The output consists of tiles
of 2×2 pixels, and each tile needs a 4×4 patch d of the input. With Bᵀ, G and A below, y = Aᵀ[(G k Gᵀ) ⊙ (Bᵀ d B)]A. The
sum over channels comes before the outer transform and is sixteen matrix products [tiles, C] × [C, C']. Rounding errors
are a few times those of the direct sum. On one CPU core it takes two thirds of the time. Images are processed in chunks
whose transformed patches fit in the core's cache.
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np

_B = np.array([[1, 0, 0, 0], [0, 1, -1, 1], [-1, 1, 1, 0], [0, 0, 0, -1]])
_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)
_A = np.array([[1, 0], [1, 1], [1, -1], [0, -1]])
_CHUNK = 2**18  # values (pixels times channels) transformed at a time
_GROUPS = list(np.ndindex(4, 4))

Padding = tuple[tuple[int, int], tuple[int, int]]


def suits(x: jax.Array, kernel: jax.Array, padding: Padding) -> bool:
    """Whether this form applies to a convolution of [B, H, W, C] by [k, k, C, C'] and is faster."""
    size, channels = kernel.shape[0], kernel.shape[2:]
    if size != 3 or x.dtype != jnp.float32 or min(channels) < 32:
        return False
    sides = [length + sum(zeros) - 2 for length, zeros in zip(x.shape[1:3], padding)]
    return min(sides) >= 16 and not any(side % 2 for side in sides)


def convolve(x: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """Correlate.

    Args:
      x: [B, H, W, C], float32.
      kernel: [3, 3, C, C'].
      padding: number of zeros before and after, for rows and then for columns; the result has an even height H' and
        width W'.

    Returns:
      [B, H', W', C'].
    """
    factors = jnp.einsum("ai,bj,ijco->abco", _G, _G, kernel)

    def of_chunk(patches: jax.Array) -> jax.Array:
        patches = jax.lax.optimization_barrier(patches)
        return _untiled({ab: tile @ factors[ab] for ab, tile in _tiles(patches).items()}, patches.shape)

    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    y = jax.lax.map(of_chunk, _chunks(padded, 1, max(kernel.shape[2:])))
    return y.reshape(len(x), padded.shape[1] - 2, padded.shape[2] - 2, -1)


def kernel_gradient(x: jax.Array, g: jax.Array, padding: Padding) -> jax.Array:
    """Return the gradient of ``convolve`` with respect to its kernel.

    Args:
      x, padding: the input of the convolution.
      g: [B, H', W', C'], the gradient with respect to the result.

    Returns:
      [3, 3, C, C'].
    """
    channels, turn = (x.shape[-1], g.shape[-1]), x.shape[-1] % 16 == 0
    shape = (4, 4, *(channels[::-1] if turn else channels))

    def add_chunk(total: jax.Array, chunk: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        chunk = jax.lax.optimization_barrier(chunk)
        tiles, errors = _tiles(chunk[0]), _error_tiles(chunk[1])
        pairs = [(errors[ab], tiles[ab]) if turn else (tiles[ab], errors[ab]) for ab in _GROUPS]
        products = jnp.stack([left.T @ right for left, right in pairs])
        return total + products.reshape(shape), None

    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    chunks = _chunks(padded, 1, max(channels)), _chunks(g, 0, max(channels))
    total, _ = jax.lax.scan(add_chunk, jnp.zeros(shape, jnp.float32), chunks)
    total = total.swapaxes(2, 3) if turn else total
    return jnp.einsum("ai,bj,abco->ijco", _G, _G, total)


def _chunks(x: jax.Array, around: int, widest: int) -> jax.Array:
    """Split images with so many pixels around them into chunks of several images or of a band of one.

    Returns:
      [chunks, images, rows + 2·around, W + 2·around, C].
    """
    batch, height, width = len(x), x.shape[1] - 2 * around, x.shape[2] - 2 * around
    pixels = _CHUNK // widest
    rows = max(n for n in range(2, height + 1, 2) if height % n == 0 and (n == 2 or n * width <= pixels))
    images = max(n for n in range(1, batch + 1) if batch % n == 0 and (n == 1 or n * height * width <= pixels))
    if rows < height:
        bands = [x[:, top : top + rows + 2 * around] for top in range(0, height, rows)]
        x = jnp.stack(bands, axis=1).reshape(-1, *bands[0].shape[1:])
    return x.reshape(-1, images, *x.shape[1:])


def _combined(matrix: np.ndarray, parts: typing.Sequence[jax.Array]) -> list[jax.Array]:
    """Return the sum over i of matrix[i, a] · parts[i] for each a; the entries are 0, 1 or −1."""
    sums = []
    for column in matrix.T:
        terms = [part if sign > 0 else -part for sign, part in zip(column, parts) if sign]
        sums.append(sum(terms[1:], terms[0]))
    return sums


def _tiles(x: jax.Array) -> dict[tuple[int, int], jax.Array]:
    """Return BᵀdB of all 4×4 patches d of [N, R + 2, W + 2, C] at stride 2: a matrix [tiles, C] for each (a, b)."""
    images, rows, columns, channels = x.shape
    ends = (rows - 3, columns - 3)

    def shifted(i: int, j: int) -> jax.Array:
        return jax.lax.slice(x, (0, i, j, 0), (images, i + ends[0], j + ends[1], channels), (1, 2, 2, 1))

    by_row = [_combined(_B, [shifted(i, j) for i in range(4)]) for j in range(4)]
    by_both = [_combined(_B, [by_row[j][a] for j in range(4)]) for a in range(4)]
    return {(a, b): by_both[a][b].reshape(-1, channels) for a, b in _GROUPS}


def _untiled(tiles: dict[tuple[int, int], jax.Array], patches: tuple[int, ...]) -> jax.Array:
    """Return AᵀmA of the sums m of each tile, as images [N, R, W, C']."""
    images, rows, columns = patches[0], (patches[1] - 2) // 2, (patches[2] - 2) // 2
    by_row = [_combined(_A, [tiles[a, b] for a in range(4)]) for b in range(4)]
    by_both = [_combined(_A, [by_row[b][i] for b in range(4)]) for i in range(2)]
    pixels = [jnp.stack([p.reshape(images, rows, columns, -1) for p in row], axis=3) for row in by_both]
    return jnp.stack(pixels, axis=2).reshape(images, 2 * rows, 2 * columns, -1)


def _error_tiles(g: jax.Array) -> dict[tuple[int, int], jax.Array]:
    """Return AgAᵀ of all tiles g of [N, R, W, C']: a matrix [tiles, C'] for each (a, b)."""
    channels = g.shape[-1]
    by_row = [_combined(_A.T, [g[:, i::2, j::2] for i in range(2)]) for j in range(2)]
    by_both = [_combined(_A.T, [by_row[j][a] for j in range(2)]) for a in range(4)]
    return {(a, b): by_both[a][b].reshape(-1, channels) for a, b in _GROUPS}
