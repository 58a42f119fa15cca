"""Where an image has most texture: what a kernel estimate can learn from."""

from __future__ import annotations

import numpy as np


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
    return np.stack([_most_textured(image, side) for image in images])


def _most_textured(image: np.ndarray, side: int) -> np.ndarray:
    height, width = (min(length, side) for length in image.shape[:2])
    right, below = (np.square(np.diff(image, axis=axis, append=image.take([-1], axis))).sum(-1) for axis in (1, 0))
    energy = np.minimum(*(_sums(part, height, width) for part in (right, below)))
    top, left = np.unravel_index(energy.argmax(), energy.shape)
    return image[8 * top : 8 * top + height, 8 * left : 8 * left + width]


def _sums(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Sums over all windows of a size that begin at multiples of eight."""
    total = np.pad(values.cumsum(0, dtype=np.float64).cumsum(1), ((1, 0), (1, 0)))
    rows = total[height:][::8] - total[:-height][::8]
    return rows[:, width:][:, ::8] - rows[:, :-width][:, ::8]
