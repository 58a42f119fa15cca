"""Pictures with more pixels than detail: tell them, shrink them, and bring the result to the size that is asked for."""

from __future__ import annotations

import dataclasses
import typing

import jax.numpy as jnp
import numpy as np
import scipy  # loads its submodules on first use

from blindsr_jax.errors import DataError
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.ops.color import rgb_to_y
from blindsr_jax.ops.resize import imresize, imresize_rows

Shrink = int | typing.Literal["auto"]

LARGEST = 8  # factor that a user may ask for
_SIDE = 1024  # pixels: side of the central part that is measured
_BLOCK = 16  # pixels: side of the blocks whose energy is compared
_SOFT = 0.13  # sharpness below this: the finest octave holds no detail. Sharp pictures have 0.2 to 0.65
_VERY_SOFT = 0.08  # the same of the picture at half its size, where noise is lower
_GRAIN = 1.5  # levels: a picture with less noise is clean
_ROWS = 64  # rows that are enlarged at once
_GRID = 1.15  # a picture with a weaker grid of 8x8 blocks was hardly compressed


@dataclasses.dataclass(frozen=True)
class Detail:
    """Measures of a picture's luma.

    Attributes:
      sharpness: RMS of the finest octave over that of all details up to σ = 4 pixels, where the contrast is strongest;
        both without the noise of flat parts. About 0.5 for a sharp picture, 0.17 after a blur of σ = 1 pixel, 0.05
        after σ = 2.
      grain: RMS of the finest octave in flat parts, levels of 255.
      grid: mean difference of neighbours at the borders of JPEG's blocks, over that of other neighbours.
    """

    sharpness: float
    grain: float
    grid: float


def measure(image: np.ndarray) -> Detail:
    """Measure the central 1024×1024 pixels of an image, of the kinds that ``Pixels`` takes."""
    pixels = Pixels(image)
    # The part begins at a multiple of eight, so that the grid of JPEG's blocks stays where it is.
    rows, columns = (slice(start := (n - min(n, _SIDE)) // 16 * 8, start + _SIDE) for n in pixels.size)
    y = rgb_to_y(pixels.rgb(rows, columns).astype(np.float64))[..., 0]
    return Detail(*_sharpness_and_grain(y), _grid(y))


def shrink_factor(image: np.ndarray) -> int:
    """Choose by how much to shrink a picture before it is restored: 1, 2 or 4.

    A picture is shrunk if it is noisy or compressed, and its finest octave holds no detail: what is there is only noise
    and blocks. Clean pictures are not shrunk, however soft, since a model undoes their blur. Sharp pictures, drawings
    and text are never shrunk.

    Args:
      image: as for ``RestoresImages.restore``.
    """
    found = measure(image)
    if min(image.shape[:2]) < 8 * _BLOCK or found.sharpness > _SOFT:
        return 1
    if found.grain < _GRAIN and found.grid < _GRID:
        return 1
    return 4 if measure(shrunk(image, 2)).sharpness < _VERY_SOFT else 2


def shrunk(image: np.ndarray, factor: int) -> np.ndarray:
    """Shrink an image by antialiased bicubic interpolation, after its sides are extended to multiples of the factor.

    Args:
      image: as for ``RestoresImages.restore``.
      factor: N.

    Returns:
      float32 in [0, 1], [⌈H/N⌉, ⌈W/N⌉] with the image's channels.
    """
    pixels = Pixels(image)
    missing = [(0, -n % factor) for n in pixels.size]
    padded = np.pad(pixels.unit(), (*missing, (0, 0)), mode="symmetric")
    small = np.clip(np.asarray(imresize(jnp.asarray(padded)[None], 1 / factor)[0]), 0, 1)
    return small if image.ndim == 3 else small[..., 0]


def enlarged_rows(image: np.ndarray, factor: int, shape: tuple[int, ...]) -> typing.Iterator[np.ndarray]:
    """Yield the rows of an image enlarged by bicubic interpolation, some at a time, cut to a shape: float32."""
    channels = image.reshape(*image.shape[:2], -1)
    for first in range(0, shape[0], _ROWS):
        last = min(first + _ROWS, shape[0])
        rows = np.clip(imresize_rows(channels, factor, first, last), 0, 1)[:, : shape[1]]
        yield rows.reshape(len(rows), *shape[1:])


def checked_factor(shrink: Shrink, same_size: bool, scale: int, image: np.ndarray) -> int:
    """The factor by which a picture is shrunk for the options of ``RestoresImages.restore``.

    Raises:
      DataError: the options have other values, or exclude each other.
    """
    if same_size:
        if shrink not in (1, scale):
            raise DataError(f"same_size shrinks the picture {scale} times, as the model enlarges it: leave shrink out")
        return scale
    if shrink == "auto":
        return shrink_factor(image)
    if isinstance(shrink, bool) or not isinstance(shrink, int) or not 1 <= shrink <= LARGEST:
        raise DataError(f"shrink must be 'auto' or a whole number from 1 to {LARGEST}, got {shrink!r}")
    return shrink


def _sharpness_and_grain(y: np.ndarray) -> tuple[float, float]:
    even = y[: len(y) // 2 * 2, : y.shape[1] // 2 * 2]
    half = imresize(jnp.asarray(even, jnp.float32)[None, ..., None], 0.5)
    finest = _energies(even - np.asarray(imresize(half, 2)[0, ..., 0]))
    details = _energies(even - scipy.ndimage.gaussian_filter(even, 4.0))
    if not len(finest):
        return 1.0, 0.0
    order = np.argsort(details)
    flat, rather_flat = order[: max(len(order) // 10, 1)], order[len(order) // 20 : max(len(order) // 4, 1)]
    strongest = order[-max(len(order) // 20, 1) :]
    above = finest[strongest].mean() - np.median(finest[rather_flat])
    contrast = details[strongest].mean() - np.median(details[flat])
    if contrast < 1:  # a picture of one colour
        return 1.0, 0.0
    return float(np.sqrt(max(above, 0) / contrast)), float(np.sqrt(np.median(finest[flat])))


def _energies(x: np.ndarray) -> np.ndarray:
    """The mean square in each block, without the pixels beside the borders of JPEG's blocks."""
    down, across = (n // _BLOCK for n in x.shape)
    inside = np.flatnonzero(np.isin(np.arange(_BLOCK) % 8, (0, 7), invert=True))
    blocks = x[: down * _BLOCK, : across * _BLOCK].reshape(down, _BLOCK, across, _BLOCK)
    return np.square(blocks[:, inside][..., inside]).mean(axis=(1, 3)).ravel()


def _grid(y: np.ndarray) -> float:
    """Large differences count as eight levels, so that the picture's own edges do not decide."""
    ratios = []
    for x in (y, y.T):
        differences = np.minimum(np.abs(np.diff(x, axis=1)), 8).mean(axis=0)
        at_blocks = np.arange(1, x.shape[1]) % 8 == 0
        if not at_blocks.any():
            return 1.0
        ratios.append(differences[at_blocks].mean() / max(differences[~at_blocks].mean(), 1e-6))
    return float(np.mean(ratios))
