"""Blur kernels that visitors make: a Gaussian with chosen widths, a drawing, or a file."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import scipy  # brings in its parts when they are first used

from blindsr_jax.degradations.kernels import anisotropic_gaussian
from blindsr_jax.errors import DataError
from blindsr_jax.images.kernel_arrays import read_kernel

DRAWING_SIDE = 21
_MOST_CHARACTERS = 16 * DRAWING_SIDE**2  # of a drawing in JSON
WIDTHS = (0.2, 4.0)  # range of Gaussian widths, in pixels of the restored picture, that DANs are trained for


def gaussian(width_x: float, width_y: float, degrees: float, size: int) -> np.ndarray:
    """Make a Gaussian whose first axis is turned clockwise from the horizontal.

    Args:
      width_x, width_y: standard deviations along its axes, in pixels of the restored picture.
      degrees: the angle.
      size: K, odd.

    Returns:
      float32 [K, K], summing to one.

    Raises:
      DataError: a width is not positive, or a number is not finite.
    """
    if not np.isfinite([width_x, width_y, degrees]).all() or min(width_x, width_y) <= 0:
        raise DataError(f"a Gaussian needs widths above 0 and an angle, got {width_x}, {width_y}, {degrees}")
    return np.asarray(anisotropic_gaussian(width_x, width_y, np.deg2rad(degrees), size))


def drawn(cells: str) -> np.ndarray:
    """Convert a drawing to a kernel. Its centre of mass moves to the centre, so restoring does not shift the picture.

    Args:
      cells: JSON list of the cells of a square of side ``DRAWING_SIDE``, row by row; each is the ink, from 0 to 1.

    Returns:
      float32 [DRAWING_SIDE, DRAWING_SIDE], not negative, summing to one.

    Raises:
      DataError: the drawing is empty, or ``cells`` is not such a list.
    """
    side, unreadable = DRAWING_SIDE, "the drawing could not be read: clear it and draw it again"
    if not isinstance(cells, str | None) or len(cells or "") > _MOST_CHARACTERS:
        raise DataError(unreadable)
    try:
        ink = np.asarray(json.loads(cells or "[]"), np.float64).ravel()
    except (ValueError, TypeError, RecursionError):
        raise DataError(unreadable) from None
    if not np.isfinite(ink).all() or ink.size == 0 or ink.clip(0, 1).sum() < 1e-3:
        raise DataError("the drawing is empty: draw the path that a point of light took, then restore again")
    if ink.size != side * side:
        raise DataError(f"the drawing has {ink.size} cells where {side}×{side} were expected: reload the page")
    path = ink.clip(0, 1).reshape(side, side)
    offset = side // 2 - np.asarray(scipy.ndimage.center_of_mass(path))
    moved = scipy.ndimage.shift(path, offset, order=1)
    return np.asarray(moved / moved.sum(), np.float32)


def from_file(path: str | None) -> np.ndarray:
    """Read the kernel of an uploaded .npy or .mat file: float32 [K, K], summing to one.

    Raises:
      DataError: there is no file, or it holds no kernel. Messages name the file without its folder.
    """
    if not path:
        raise DataError("choose a kernel file first: .npy or .mat, [K, K] with an odd side")
    try:
        return read_kernel(path).astype(np.float32)
    except DataError as error:
        raise DataError(str(error).replace(str(path), pathlib.Path(path).name)) from None
