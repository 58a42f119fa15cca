"""Images as arrays, also from Pillow, whose modes say what the numbers mean."""

from __future__ import annotations

import typing

import numpy as np
from PIL import Image

from blindsr_jax.errors import DataError

_AS_THEY_ARE = ("L", "LA", "RGB", "RGBA", "I;16", "I;16L", "I;16B", "F")


def as_array(image: typing.Any) -> np.ndarray:
    """An image as an array. Pillow's palettes become RGB or RGBA, and its pictures of one bit grey.

    Args:
      image: an array of any byte order, or a Pillow image of grey, RGB or a palette, with or without alpha.

    Raises:
      DataError: a Pillow image of another mode, such as CMYK, whose channels would be taken for others.
    """
    if not isinstance(image, Image.Image):
        return _native(np.asarray(image))
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode in ("P", "PA"):
        return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    if image.mode not in _AS_THEY_ARE:
        raise DataError(
            f"a Pillow image of mode {image.mode} is not restored as it is: give image.convert('RGB'), or its file to "
            "the command blindsr restore, which knows its colour profile"
        )
    return _native(np.asarray(image))


def _native(array: np.ndarray) -> np.ndarray:
    """The array in the byte order of this machine."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)
