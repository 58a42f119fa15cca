"""Where an image has most texture: what a kernel estimate can learn from."""

from __future__ import annotations

import typing

import numpy as np

_BAND = 256  # rows looked at together


def most_textured(images: np.ndarray, side: int) -> np.ndarray:
    """The window of each image that has the strongest gradients in both directions.

    Of the mean squared differences to the right and downwards the smaller counts: edges of one direction tell nothing
    of the blur along them. Windows at every eighth pixel are compared.

    Args:
      images: [B, H, W, C].
      side: of the window; along an axis on which an image is not longer it stays whole.

    Returns:
      [B, min(H, side), min(W, side), C].
    """
    images = np.asarray(images)
    return np.stack([image[window_of(image.shape[:2], image.__getitem__, side)] for image in images])


def window_of(size: tuple[int, int], rows: typing.Callable[[slice], np.ndarray], side: int) -> tuple[slice, slice]:
    """Rows and columns of the window that ``most_textured`` takes, for images of which only a band is held at once.

    Args:
      size: H and W.
      rows: gives so many rows of the image, [n, W, C].
      side: of the window.
    """
    height, width = (min(length, side) for length in size)
    sums = [_row_sums(rows(slice(top, top + _BAND + 1)), width) for top in range(0, size[0], _BAND)]
    energy = np.minimum(*(_sums(np.concatenate(part), height) for part in zip(*sums)))
    top, left = (int(8 * place) for place in np.unravel_index(energy.argmax(), energy.shape))
    return slice(top, top + height), slice(left, left + width)


def _row_sums(band: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared differences to the right and downwards of a band and a row more, summed over windows along the rows."""
    differences = [np.diff(band, axis=axis, append=band.take([-1], axis)) for axis in (1, 0)]
    energies = [np.square(difference[:_BAND]).sum(-1, dtype=np.float64) for difference in differences]
    right, below = (_sums(energy.T, width).T for energy in energies)
    return right, below


def _sums(values: np.ndarray, length: int) -> np.ndarray:
    """Sums over all windows of so many rows that begin at multiples of eight."""
    total = np.pad(values.cumsum(0), ((1, 0), (0, 0)))
    return total[length:][::8] - total[:-length][::8]
