"""The most textured window of an image, which tells a kernel estimator the most."""

from __future__ import annotations

import typing

import numpy as np

_BAND = 256  # rows read at once


def most_textured(images: np.ndarray, side: int) -> np.ndarray:
    """Crop each image to the window with the strongest gradients in both directions.

    A window's score is the smaller of its squared differences to the right and downwards, because edges in one
    direction reveal nothing about the blur along them. Windows start at every eighth pixel.

    Args:
      images: [B, H, W, C].
      side: side of the window. An axis that is not longer stays whole.

    Returns:
      [B, min(H, side), min(W, side), C].
    """
    images = np.asarray(images)
    return np.stack([image[window_of(image.shape[:2], image.__getitem__, side)] for image in images])


def window_of(size: tuple[int, int], rows: typing.Callable[[slice], np.ndarray], side: int) -> tuple[slice, slice]:
    """Find the rows and columns of the window that ``most_textured`` takes, reading the image band by band.

    Args:
      size: H and W.
      rows: function that returns a slice of the image's rows, [n, W, C].
      side: side of the window.
    """
    height, width = (min(length, side) for length in size)
    sums = [_row_sums(rows(slice(top, top + _BAND + 1)), width) for top in range(0, size[0], _BAND)]
    energy = np.minimum(*(_sums(np.concatenate(part), height) for part in zip(*sums)))
    top, left = (int(8 * place) for place in np.unravel_index(energy.argmax(), energy.shape))
    return slice(top, top + height), slice(left, left + width)


def _row_sums(band: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared differences to the right and downwards, summed along the rows over windows of ``width`` pixels.

    The band has one row more than the result, for the differences downwards.
    """
    differences = [np.diff(band, axis=axis, append=band.take([-1], axis)) for axis in (1, 0)]
    energies = [np.square(difference[:_BAND]).sum(-1, dtype=np.float64) for difference in differences]
    right, below = (_sums(energy.T, width).T for energy in energies)
    return right, below


def _sums(values: np.ndarray, length: int) -> np.ndarray:
    """Sums over all windows of ``length`` rows that begin at multiples of eight."""
    total = np.pad(values.cumsum(0), ((1, 0), (0, 0)))
    return total[length:][::8] - total[:-length][::8]
