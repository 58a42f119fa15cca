"""Image files as arrays: as they are, with their metadata, or as 8-bit RGB; and their sizes from the header alone."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from blindsr_jax.images.metadata import Metadata, metadata_of
from blindsr_jax.images.opening import MAX_PIXELS, open_image


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
      page, max_pixels: as for ``open_image``.

    Raises:
      DataError: as ``open_image``.
    """
    image = open_image(path, page=page, max_pixels=max_pixels)
    pixels = image.decode()
    return ImageFile(pixels[..., 0] if pixels.shape[2] == 1 else pixels, metadata_of(image))


def image_size(path: str | os.PathLike, *, page: int | None = None, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width of the upright image, from the header alone; arguments, errors: ``open_image``."""
    return open_image(path, page=page, max_pixels=max_pixels).size


def read_rgb(path: str | os.PathLike) -> np.ndarray:
    """An image file as uint8 [H, W, 3]; transparency is dropped, grey is repeated, deeper images are rounded to 8 bits.

    Raises:
      DataError: as ``open_image``.
    """
    return _rgb(open_image(path).decode())


def decode_rgb(data: bytes, name: str = "the image") -> np.ndarray:
    """The bytes of an image file as ``read_rgb`` gives them; messages call it by the name. Raises DataError as that."""
    return _rgb(open_image(data, name=name).decode())


def to_eight_bits(pixels: np.ndarray) -> np.ndarray:
    """uint8 as it is, uint16 rounded to the nearest of 256 levels."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _rgb(pixels: np.ndarray) -> np.ndarray:
    pixels = to_eight_bits(pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1])
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
