"""Image files to arrays: finding them, opening them safely, upright and in RGB."""

from __future__ import annotations

import os
import pathlib
import warnings

import numpy as np
from PIL import Image, ImageOps

from blindsr_jax.errors import DataError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


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
    if not found:
        raise DataError(f"{root}: no image in this folder; looked for {', '.join(EXTENSIONS)}, also in its subfolders")
    return found


def open_image(path: str | os.PathLike) -> Image.Image:
    """Opens and decodes an image, turned upright by its EXIF orientation.

    Raises:
      DataError: the file is missing, no image, damaged, or large enough to be a decompression bomb.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
                return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"{path}: larger than {Image.MAX_IMAGE_PIXELS:,} pixels; cut it into parts first") from None
    except Image.UnidentifiedImageError:
        raise DataError(f"{path}: not an image, or of a kind that is not supported") from None
    except Exception as error:  # decoders raise many kinds for damaged files: OSError, SyntaxError, struct.error …
        raise DataError(f"{path}: cannot be read as an image, it may be damaged ({error})") from None


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """Height and width, from the file's header alone (before any EXIF turn).

    Raises:
      DataError: the header cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return image.height, image.width
    except Exception as error:
        raise DataError(f"{path}: cannot be read as an image ({error})") from None


def read_rgb(path: str | os.PathLike) -> np.ndarray:
    """An image file as uint8 [H, W, 3]; transparency is dropped, grey is repeated, deeper images are scaled to 8 bits.

    Raises:
      DataError: as ``open_image``.
    """
    return to_rgb(open_image(path))


def to_rgb(image: Image.Image) -> np.ndarray:
    """A decoded image as uint8 [H, W, 3]."""
    if image.mode.startswith("I;16") or image.mode == "I":
        grey = (np.asarray(image).astype(np.uint32) + 128) // 257
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"))
