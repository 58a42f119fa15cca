"""Reading image files as arrays: unchanged with their metadata, or as 8-bit RGB; and their size from the header."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from blindsr_jax.images.metadata import Metadata, metadata_of
from blindsr_jax.images.opening import MAX_PIXELS, open_image
from blindsr_jax.images.srgb import srgb_of


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """A decoded image file.

    Attributes:
      pixels: upright, uint8 or uint16: [H, W] grey, [H, W, 2] grey and alpha, [H, W, 3] RGB or [H, W, 4] RGBA.
      metadata: colour profile and other metadata of the file.
    """

    pixels: np.ndarray
    metadata: Metadata = dataclasses.field(default_factory=Metadata)


def read_image(path: str | os.PathLike, *, page: int | None = None, max_pixels: int = MAX_PIXELS) -> ImageFile:
    """Read an image file and turn it upright. Palettes become RGB, CMYK becomes sRGB.

    Args:
      path: path of the file.
      page, max_pixels: as for ``open_image``.

    Raises:
      DataError: as ``open_image``.
    """
    image = open_image(path, page=page, max_pixels=max_pixels)
    pixels = image.decode()
    return ImageFile(pixels[..., 0] if pixels.shape[2] == 1 else pixels, metadata_of(image))


def image_size(path: str | os.PathLike, *, page: int | None = None, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width of the upright image, from the header alone. Arguments and errors as for ``open_image``."""
    return open_image(path, page=page, max_pixels=max_pixels).size


def read_rgb(path: str | os.PathLike) -> np.ndarray:
    """Read an image file as uint8 [H, W, 3]. Drops alpha, repeats grey, and rounds 16 bits to 8.

    Raises:
      DataError: as ``open_image``.
    """
    return _rgb(open_image(path).decode())


def read_picture(path: str | os.PathLike) -> tuple[np.ndarray, Metadata]:
    """Read an image file as ``read_rgb`` does, and its colour profile; a grey picture with a profile becomes sRGB.

    Raises:
      DataError: as ``open_image``.
    """
    image = read_image(path)
    grey = image.pixels.ndim == 2 or image.pixels.shape[2] == 2
    rgb, metadata = _rgb(image.pixels if image.pixels.ndim == 3 else image.pixels[..., None]), image.metadata.stripped()
    return (srgb_of(rgb, metadata.icc_profile, grey=True), Metadata()) if grey else (rgb, metadata)


def decode_rgb(data: bytes, name: str = "the image") -> np.ndarray:
    """Decode the bytes of an image file as ``read_rgb`` does. ``name`` is its name in messages. Raises DataError."""
    return _rgb(open_image(data, name=name).decode())


def to_eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 unchanged; round uint16 to the nearest of 256 levels."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _rgb(pixels: np.ndarray) -> np.ndarray:
    pixels = to_eight_bits(pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1])
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
