"""Images for training and scoring: finding the files of a folder, their sizes, their pixels in RGB."""

from __future__ import annotations

import os
import pathlib
import typing

import numpy as np

from blindsr_jax.data.image_files import open_image
from blindsr_jax.errors import DataError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif")

# Pictures of kernels and comparisons lie beside the images they belong to, under these endings, and are not taken for
# images.
KERNEL_PICTURE = ".kernel.png"
COMPARISON = ".compare.jpg"


def list_images(root: str | os.PathLike) -> list[pathlib.Path]:
    """Image files below a folder by their extensions, sorted; a file is a list of itself.

    Raises:
      DataError: nothing is there, or no image is in it.
    """
    root = pathlib.Path(root)
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise DataError(f"{root}: there is no such file or folder")
    found = sorted(p for p in root.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
    found = [path for path in found if not path.name.endswith((KERNEL_PICTURE, COMPARISON))]
    if not found:
        raise DataError(f"{root}: no image in this folder; looked for {', '.join(EXTENSIONS)}, also in its subfolders")
    return found


def image_size(path: str | os.PathLike, **options: typing.Any) -> tuple[int, int]:
    """Height and width of the upright image, from the file's header alone.

    Args:
      path: of the file.
      options: of ``image_files.open_image``, which says what is raised, too.
    """
    return open_image(path, **options).size


def read_rgb(path: str | os.PathLike) -> np.ndarray:
    """An image file as uint8 [H, W, 3]; transparency is dropped, grey is repeated, deeper images are rounded to 8 bits.

    Raises:
      DataError: as ``image_files.open_image``.
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
