"""Image files for restoring: pixels, transparency, colour profile and metadata, read and written, never half."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from blindsr_jax.data.image_files import MAX_PIXELS, open_image
from blindsr_jax.inference.image_rows import row_writer
from blindsr_jax.inference.metadata import Metadata, metadata_of


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """A decoded file.

    Attributes:
      pixels: upright; [H, W] grey, [H, W, 2] grey and alpha, [H, W, 3] or [H, W, 4]; uint8 or uint16.
      metadata: colour profile and what else the file says of the picture.
    """

    pixels: np.ndarray
    metadata: Metadata = dataclasses.field(default_factory=Metadata)


def read_image(path: str | os.PathLike, *, page: int | None = None, max_pixels: int = MAX_PIXELS) -> ImageFile:
    """Reads an image file, turned upright; palettes become RGB, CMYK becomes sRGB.

    Args:
      path: of the file.
      page, max_pixels: as for ``image_files.open_image``.

    Raises:
      DataError: as ``image_files.open_image``.
    """
    image = open_image(path, page=page, max_pixels=max_pixels)
    pixels = image.decode()
    return ImageFile(pixels[..., 0] if pixels.shape[2] == 1 else pixels, metadata_of(image))


def write_image(path: str | os.PathLike, image: ImageFile) -> None:
    """Writes an image in the format of the path's extension, atomically. Formats without alpha get it on white.

    Raises:
      DataError: as ``image_rows.row_writer``.
    """
    with row_writer(path, image.pixels.shape, image.pixels.dtype, image.metadata) as write:
        write(image.pixels)
