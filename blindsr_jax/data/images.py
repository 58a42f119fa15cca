"""Image files to arrays: finding them, opening them safely, upright and in RGB."""

from __future__ import annotations

import io
import logging
import math
import os
import pathlib

import numpy as np
from PIL import Image, ImageOps

from blindsr_jax.errors import DataError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")

# Pictures of kernels lie beside the images they belong to, under this ending, and are not taken for images.
KERNEL_PICTURE = ".kernel.png"

_ORIENTATION = 0x0112  # EXIF's; from 5 on height and width change places

log = logging.getLogger(__name__)


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
    found = [path for path in found if not path.name.endswith(KERNEL_PICTURE)]
    if not found:
        raise DataError(f"{root}: no image in this folder; looked for {', '.join(EXTENSIONS)}, also in its subfolders")
    return found


def open_image(path: str | os.PathLike) -> Image.Image:
    """Opens and decodes an image, turned upright by its EXIF orientation.

    Raises:
      DataError: the file is missing, no image, damaged, of floating-point pixels, or so large that it may be a
        decompression bomb.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
                raise Image.DecompressionBombError
            if image.mode == "F":
                raise DataError(f"{path}: pixels in floating point are not supported; save it with 8 or 16 bits")
            if image.mode in ("RGB", "RGBA") and any("16" in str(tile) for tile in image.tile):
                log.warning("%s: 16-bit colour is read as 8 bits", path)
            image.load()
            return ImageOps.exif_transpose(image)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except Image.DecompressionBombError:
        raise DataError(f"{path}: larger than {Image.MAX_IMAGE_PIXELS:,} pixels; cut it into parts first") from None
    except Image.UnidentifiedImageError:
        raise DataError(f"{path}: not an image, or of a kind that is not supported") from None
    except Exception as error:  # decoders raise many kinds for damaged files: OSError, SyntaxError, struct.error …
        raise DataError(f"{path}: cannot be read as an image, it may be damaged ({error})") from None


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """Height and width of the upright image, from the file's header alone.

    Raises:
      DataError: the header cannot be read.
    """
    try:
        with Image.open(path) as image:
            # TIFF's size is that of the upright image already; others say in the header how they are to be turned.
            turned = image.format != "TIFF" and "exif" in image.info and image.getexif().get(_ORIENTATION, 1) >= 5
            return (image.width, image.height) if turned else (image.height, image.width)
    except Exception as error:
        raise DataError(f"{path}: cannot be read as an image ({error})") from None


def grey16(image: Image.Image) -> np.ndarray | None:
    """The pixels of a 16-bit grey image, uint16 [H, W]; None for images of another kind.

    Raises:
      DataError: the image has integers beyond 16 bits.
    """
    if not (image.mode.startswith("I;16") or image.mode == "I"):
        return None
    pixels = np.asarray(image)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise DataError(f"grey levels from {pixels.min()} to {pixels.max()} are not supported; save it with 16 bits")
    return pixels.astype(np.uint16)


def read_rgb(path: str | os.PathLike) -> np.ndarray:
    """An image file as uint8 [H, W, 3]; transparency is dropped, grey is repeated, deeper images are scaled to 8 bits.

    Raises:
      DataError: as ``open_image``.
    """
    return to_rgb(open_image(path))


def decode_rgb(data: bytes) -> np.ndarray:
    """The bytes of an image file as uint8 [H, W, 3]. Raises OSError or another of Pillow's if they are damaged."""
    with Image.open(io.BytesIO(data)) as image:
        return to_rgb(image)


def to_rgb(image: Image.Image) -> np.ndarray:
    """A decoded image as uint8 [H, W, 3]."""
    deep = grey16(image)
    if deep is not None:
        grey = ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"))
