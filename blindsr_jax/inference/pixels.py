"""``Pixels``: an image of any accepted kind as floating-point RGB, part by part, and the way back."""

from __future__ import annotations

import typing

import numpy as np

from blindsr_jax.errors import DataError
from blindsr_jax.images.transparency import with_visible_colours
from blindsr_jax.ops.resize import imresize_rows
from blindsr_jax.pictures import from_unit

_EVERYTHING = slice(None)


class Pixels:
    """An image [H, W] or [H, W, 1 to 4], of which only parts become floating point, since large ones would not fit.

    Args:
      image: uint8, uint16, or floating point in [0, 1]; with two or four channels the last is alpha. Colours that it
        hides are replaced, see ``transparency``.
      filled: they are already.

    Attributes:
      size: H and W.
      dtype: the image's.

    Raises:
      DataError: another shape or type, or values that are not finite or not in [0, 1].
    """

    def __init__(self, image: np.ndarray, *, filled: bool = False):
        image = np.asarray(image)
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
        self.size: tuple[int, int] = image.shape[:2]
        self.dtype: np.dtype = image.dtype

    def shape(self, scale: int) -> tuple[int, ...]:
        """Of the image s times larger."""
        return (scale * self._shape[0], scale * self._shape[1], *self._shape[2:])

    def rgb(self, rows: slice = _EVERYTHING, columns: slice = _EVERYTHING) -> np.ndarray:
        """A part as float32 [h, w, 3] in [0, 1]; grey is repeated, alpha left out."""
        part = np.asarray(self._channels[rows, columns, : self._colours], np.float32) / self._levels
        return np.broadcast_to(part, (*part.shape[:2], 3))

    def seen_from(self, turn: typing.Callable[[np.ndarray], np.ndarray]) -> Pixels:
        """The image flipped or turned, as a view."""
        return Pixels(turn(self._image), filled=True)

    def finish(self, sr: np.ndarray, scale: int, first: int = 0, dtype: np.dtype | None = None) -> np.ndarray:
        """Restored rows [n, sW, 3], beginning with row ``first`` of the restored image, in the kind that came in.

        Alpha is enlarged by bicubic interpolation. The type of numbers may be another than the image's.
        """
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
    if max(image.max(), -image.min()) > 2:
        raise DataError(f"floating-point images are in [0, 1], this one reaches {image.max():.4g}: divide it by 255")


def _levels(image: np.ndarray) -> float:
    if image.dtype in (np.uint8, np.uint16):
        return float(np.iinfo(image.dtype).max)
    if np.issubdtype(image.dtype, np.floating):
        return 1.0
    raise DataError(f"an image must be uint8, uint16 or floating point in [0, 1], got {image.dtype}")
