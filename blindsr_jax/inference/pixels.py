"""``Pixels``: converts parts of an image of any accepted kind to floating-point RGB, and results back to that kind."""

from __future__ import annotations

import typing

import numpy as np

from blindsr_jax.errors import DataError
from blindsr_jax.images.transparency import with_visible_colours
from blindsr_jax.inference.arrays import as_array
from blindsr_jax.ops.resize import imresize_rows
from blindsr_jax.pictures import from_unit

_EVERYTHING = slice(None)
_BEYOND = 0.1  # how far floating-point images may leave [0, 1], as by an interpolation that overshoots


class Pixels:
    """An image [H, W] or [H, W, 1 to 4]. Only parts are converted to floating point, because large ones may not fit.

    Args:
      image: uint8, uint16, or floating point in [0, 1] with a tolerance of 0.1; or a Pillow image, see ``arrays``. The
        last of two or four channels is alpha. Colours that alpha hides are replaced, see ``transparency``.
      filled: whether hidden colours have already been replaced.

    Attributes:
      size: H and W.
      dtype: the image's type.
      grey: whether it has no colours.

    Raises:
      DataError: the image has another shape or type, or values that are not finite or not in [0, 1].
    """

    def __init__(self, image: np.ndarray, *, filled: bool = False):
        image = as_array(image)
        self._levels = _levels(image)
        channels = image.shape[2] if image.ndim == 3 else 1
        if image.ndim not in (2, 3) or channels not in (1, 2, 3, 4) or 0 in image.shape:
            raise DataError(f"an image must be [H, W] or [H, W, 1 to 4], got shape {image.shape}")
        if np.issubdtype(image.dtype, np.floating):
            _check_values(image)
        if channels in (2, 4) and not filled:
            image = with_visible_colours(image)
        self._image, self._shape = image, image.shape
        self._channels = image.reshape(*image.shape[:2], channels)
        self._colours = 3 if channels >= 3 else 1
        self.grey = self._colours == 1
        self.size: tuple[int, int] = image.shape[:2]
        self.dtype: np.dtype = image.dtype

    def shape(self, scale: int) -> tuple[int, ...]:
        """Shape of the image enlarged s times."""
        return (scale * self._shape[0], scale * self._shape[1], *self._shape[2:])

    def rgb(self, rows: slice = _EVERYTHING, columns: slice = _EVERYTHING) -> np.ndarray:
        """A part of the image as float32 [h, w, 3] in [0, 1]; grey is repeated, and alpha is left out."""
        part = np.asarray(self._channels[rows, columns, : self._colours], np.float32) / self._levels
        return np.broadcast_to(part, (*part.shape[:2], 3))

    def unit(self) -> np.ndarray:
        """The whole image with all of its channels as float32 [H, W, C] in [0, 1]."""
        return np.asarray(self._channels, np.float32) / np.float32(self._levels)

    def seen_from(self, turn: typing.Callable[[np.ndarray], np.ndarray]) -> Pixels:
        """A flipped or turned view of the image."""
        return Pixels(turn(self._image), filled=True)

    def finish(self, sr: np.ndarray, scale: int, first: int = 0, dtype: np.dtype | None = None) -> np.ndarray:
        """Convert restored rows [n, sW, 3] to the image's kind; alpha is enlarged by bicubic interpolation.

        Args:
          sr: restored rows in [0, 1].
          scale: s.
          first: row of the restored image that ``sr`` begins with.
          dtype: type of the result; by default the image's.

        Raises:
          DataError: the rows hold numbers that are not finite, which would be written as black.
        """
        if not np.isfinite(sr).all():
            raise DataError("the model's result is not finite: its weights are of a failed training")
        dtype = self.dtype if dtype is None else dtype
        colour = sr if self._colours == 3 else sr.mean(axis=-1, keepdims=True)
        result = from_unit(colour, dtype)
        if self._channels.shape[2] > self._colours:
            alpha = imresize_rows(self._channels[..., self._colours :], scale, first, first + len(sr))
            result = np.concatenate([result, from_unit(alpha / self._levels, dtype)], axis=-1)
        return result if len(self._shape) == 3 else result[..., 0]


def _check_values(image: np.ndarray) -> None:
    if not np.isfinite(image).all():
        raise DataError("the image holds values that are not finite")
    low, high = float(image.min()), float(image.max())
    if low < -_BEYOND or high > 1 + _BEYOND:
        found = f"this one is in [{low:.4g}, {high:.4g}]"
        raise DataError(f"floating-point images are in [0, 1], {found}: scale it; levels are divided by 255")


def _levels(image: np.ndarray) -> float:
    if image.dtype in (np.uint8, np.uint16):
        return float(np.iinfo(image.dtype).max)
    if np.issubdtype(image.dtype, np.floating):
        return 1.0
    raise DataError(f"an image must be uint8, uint16 or floating point in [0, 1], got {image.dtype}")
