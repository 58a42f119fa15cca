"""Measures of an enlarged picture without ground truth: what is left of grain, and of the blocks of JPEG."""

from __future__ import annotations

import numpy as np
import scipy  # loads its submodules on first use

from blindsr_jax.errors import InputError
from blindsr_jax.ops.color import rgb_to_y

_BLOCK = 8  # LR pixels: side of JPEG's blocks
_SIGMA = 8.0  # HR pixels: what is coarser than this Gaussian is the picture, not grain
_LEAST = 1e-6  # squared levels, so that a picture of one colour has no grid
_FLAT = 0.1  # share of the picture that counts as flat


def flat_residual(image: np.ndarray, reference: np.ndarray) -> float:
    """Grain in the flattest tenth of a picture: the RMS of luma minus its Gaussian of σ = 8 pixels.

    The flattest tenth is where the reference has the least such energy nearby.

    Args:
      image: uint8 [H, W, 3].
      reference: uint8 [H, W, 3], the same picture enlarged by bicubic interpolation.

    Returns:
      Levels of 255. Compare with the residual of the reference itself: less is smoother.

    Raises:
      InputError: the images differ in shape, or are not uint8 [H, W, 3].
    """
    details, details_of_reference = (_details(x) for x in _checked(image, reference))
    energy = _smooth(details_of_reference**2)
    flat = energy <= np.quantile(energy, _FLAT)
    return float(np.sqrt(np.mean(details[flat] ** 2)))


def block_edges(image: np.ndarray, scale: int) -> float:
    """The grid of JPEG's blocks in a picture that was enlarged from its whole file.

    Formula: gradient energy at the joints between blocks of 8×8 LR pixels, over that at the other joints between LR
    pixels. A joint is the s differences of neighbours that lie around the border of two LR pixels.

    Args:
      image: uint8 [sH, sW, 3].
      scale: s.

    Returns:
      1 for no grid; more for a grid. Compare with bicubic's: a picture's own edges may lie on the grid.

    Raises:
      InputError: the image is not uint8 [H, W, 3], or has less than two blocks in one direction.
    """
    (image,) = _checked(image)
    if min(image.shape[:2]) < 2 * _BLOCK * scale:
        raise InputError(f"JPEG's grid needs at least 16x16 LR pixels at scale {scale}, got {image.shape}")
    y = _luma(image)
    at_blocks, elsewhere = zip(*(_joints(y if axis else y.T, scale) for axis in (0, 1)))
    blocks, others = (np.concatenate(part).mean() + _LEAST for part in (at_blocks, elsewhere))
    return float(blocks / others)


def _joints(y: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """The gradient energy at the vertical joints between LR columns: of blocks, and of others."""
    squares = np.square(np.diff(y, axis=1)).mean(axis=0)  # entry i lies between columns i and i + 1
    joints = np.arange(1, y.shape[1] // scale)
    near = np.arange(scale) - scale // 2
    energy = squares[joints[:, None] * scale - 1 + near].mean(axis=1)
    return energy[joints % _BLOCK == 0], energy[joints % _BLOCK != 0]


def _details(image: np.ndarray) -> np.ndarray:
    y = _luma(image)
    return y - _smooth(y)


def _smooth(y: np.ndarray) -> np.ndarray:
    return scipy.ndimage.gaussian_filter(y, _SIGMA, mode="reflect")


def _luma(image: np.ndarray) -> np.ndarray:
    return rgb_to_y(image.astype(np.float64) / 255)[..., 0]


def _checked(*images: np.ndarray) -> list[np.ndarray]:
    arrays = [np.asarray(image) for image in images]
    shape = arrays[0].shape
    if any(x.shape != shape or x.ndim != 3 or x.shape[-1] != 3 or x.dtype != np.uint8 for x in arrays):
        raise InputError(f"expected uint8 [H, W, 3] of one size, got {[(x.dtype.name, x.shape) for x in arrays]}")
    return arrays
