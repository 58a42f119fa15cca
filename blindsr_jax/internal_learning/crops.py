"""Where crops are cut from: maps of gradients and the probabilities of crops (KernelGAN, NeurIPS 2019, public code).

All of this is NumPy: it runs once for each picture.
"""

from __future__ import annotations

import numpy as np
import scipy  # brings in its parts when they are first used

from blindsr_jax.errors import DataError
from blindsr_jax.ops.resize import resize_taps
from blindsr_jax.ops.taps import along

_LUMA = np.array([0.299, 0.587, 0.114])
_STRONG = 0.97  # share of the pixels that count as flat
_BOX = 5  # pixels, side of the box that smooths a map
_UNSEEN, _UNSEEN_BY_LOSS = 5, 3  # pixels at each side that a map leaves out


def gradient_map(image: np.ndarray) -> np.ndarray:
    """Map of strong gradients.

    It is the sum of three maps, |∂x|, |∂y| and the magnitude of the grey image's gradient, each divided by its sum. In
    the first two, values below the 97th percentile are zero, and those above are clipped to the next value in order, so
    they are nearly masks. The public code also clips the magnitude so, but does not use the result.

    Args:
      image: [H, W, 3] in [0, 1].

    Returns:
      float64 [H, W], smoothed by a box of 5×5, with a mean of one; zero for flat images.
    """
    rows, columns = np.gradient(image @ _LUMA)
    strong = [_strongest(_inside(np.abs(part), _UNSEEN)) for part in (columns, rows)]
    magnitude = _inside(np.hypot(rows, columns), _UNSEEN)
    total = sum(part / max(part.sum(), 1e-12) for part in (*strong, magnitude))
    smoothed = _box_sum(total, _BOX) / _BOX**2
    return smoothed / max(smoothed.mean(), 1e-12)


def loss_map(image: np.ndarray) -> np.ndarray:
    """Weights of pixels in ZSSR's loss: the magnitude of the gradient, so that flat parts weigh next to nothing.

    Args:
      image: [H, W, 3] in [0, 1].

    Returns:
      float64 [H, W], with a mean of one; ones for flat images.
    """
    luma = image @ _LUMA
    rows, columns = (np.gradient(luma, axis=axis) if luma.shape[axis] > 1 else np.zeros_like(luma) for axis in (0, 1))
    smoothed = _inside(_box_sum(np.hypot(rows, columns), _BOX), _UNSEEN_BY_LOSS)
    mean = smoothed.mean() if smoothed.size else 0.0
    return smoothed / mean if mean > 1e-9 else np.ones(image.shape[:2])


def crop_probabilities(gradients: np.ndarray, size: int) -> np.ndarray:
    """Probability of every pixel to be the centre of a crop.

    Args:
      gradients: [H, W], a ``gradient_map``.
      size: side of the crops.

    Returns:
      float64 [H, W], summing to one.

    Raises:
      DataError: the map is zero where crops may lie: the image is flat.
    """
    reach = size // 2
    inside = _inside(_box_sum(gradients, reach) / reach**2, reach)
    total = inside.sum()
    if not total > 0:
        raise DataError("the picture is flat, so that no blur can be learned from it: join the solver with KernelNet")
    return inside / total


def coarse_gradient_map(image: np.ndarray) -> np.ndarray:
    """The ``gradient_map`` of the image at half its size, repeated to the image's size, which is even."""
    rows, columns = (resize_taps(side, 0.5, "renormalise") for side in image.shape[:2])
    half = along(along(image[None].astype(np.float32), rows, 1), columns, 2)[0]
    return gradient_map(half).repeat(2, axis=0).repeat(2, axis=1)


def draw_corners(rng: np.random.Generator, probabilities: np.ndarray, size: int, count: int) -> np.ndarray:
    """Draw upper-left corners of crops, with replacement: int [count, 2], rows first."""
    indices = rng.choice(probabilities.size, count, p=probabilities.ravel())
    return crop_corners(indices, size, probabilities.shape)


def crop_corners(indices: np.ndarray, size: int, shape: tuple[int, ...]) -> np.ndarray:
    """The even upper-left corners [N, 2] of crops around pixels that are given by their flat index [N]."""
    centres = np.stack(np.unravel_index(indices, shape), axis=-1)
    corners = np.clip(centres - size // 2, 0, np.array(shape) - size)
    return corners - corners % 2


def _inside(values: np.ndarray, border: int) -> np.ndarray:
    """The map with zeros within a border."""
    result = np.zeros_like(values)
    result[border:-border, border:-border] = values[border:-border, border:-border]
    return result


def _strongest(values: np.ndarray) -> np.ndarray:
    """The part of the values above their 97th percentile, clipped to the next value in order."""
    ordered = np.sort(values, axis=None)
    place = int(_STRONG * ordered.size)
    lowest, highest = ordered[place], ordered[min(place + 1, ordered.size - 1)]
    highest = lowest + 1e-5 if highest == lowest else highest
    return np.clip(values, lowest, highest) - lowest


def _box_sum(values: np.ndarray, side: int) -> np.ndarray:
    """Sum of values that are not negative over a box around every pixel, with zeros outside the map."""
    return np.maximum(scipy.ndimage.uniform_filter(values, side, mode="constant") * side**2, 0)  # rounding goes below
