"""Image files for restoring: pixels, transparency and colour profile, read and written in the same kind, never half."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from blindsr_jax.data.images import grey16, open_image
from blindsr_jax.inference.image_rows import row_writer


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """A decoded file.

    Attributes:
      pixels: upright; [H, W] grey, [H, W, 2] grey and alpha, [H, W, 3] or [H, W, 4]; uint8, or uint16 for 16-bit grey.
      icc_profile: the colour profile's bytes, or None.
    """

    pixels: np.ndarray
    icc_profile: bytes | None = None


def read_image(path: str | os.PathLike) -> ImageFile:
    """Reads an image file, turned upright; palettes and CMYK become RGB.

    Raises:
      DataError: the file is missing, damaged or of an unknown kind.
    """
    image = open_image(path)
    profile = image.info.get("icc_profile")
    deep = grey16(image)
    if deep is not None:
        return ImageFile(deep, profile)
    if image.mode == "1":
        image = image.convert("L")
    transparent = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa")
    if image.mode in ("L", "LA", "La"):
        image = image.convert("LA" if transparent else "L")
    else:
        profile = None if image.mode == "CMYK" else profile  # a CMYK profile says nothing about RGB
        image = image.convert("RGBA" if transparent else "RGB")
    return ImageFile(np.asarray(image), profile)


def write_image(path: str | os.PathLike, image: ImageFile) -> None:
    """Writes an image in the format of the path's extension, atomically. Formats without alpha get it on white.

    Raises:
      DataError: as ``image_rows.row_writer``.
    """
    with row_writer(path, image.pixels.shape, image.pixels.dtype, image.icc_profile) as write:
        write(image.pixels)
