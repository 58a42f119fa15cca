"""Image files for restoring: pixels, transparency and colour profile, read and written in the same kind, never half."""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np
from PIL import Image

from blindsr_jax.data.images import grey16, open_image
from blindsr_jax.errors import DataError
from blindsr_jax.files import atomic_path

# Format by extension, and how it is written: lossy formats at a quality where the loss does not show.
_FORMATS = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 95, "method": 4}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_deflate"}),
    ".bmp": ("BMP", {}),
}


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
      DataError: the extension is unknown, or the file cannot be written.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise DataError(f"{path}: the format must be one of {', '.join(_FORMATS)}")
    kind, options = _FORMATS[path.suffix.lower()]
    picture = Image.fromarray(image.pixels)
    if kind in ("JPEG", "BMP") and picture.mode in ("LA", "RGBA"):
        opaque = Image.new("RGBA", picture.size, "white")
        opaque.alpha_composite(picture.convert("RGBA"))
        picture = opaque.convert(picture.mode.removesuffix("A"))
    if kind in ("JPEG", "WEBP", "BMP") and picture.mode.startswith("I"):
        picture = Image.fromarray((image.pixels // 257).astype(np.uint8))
    if image.icc_profile:
        options = options | {"icc_profile": image.icc_profile}
    with atomic_path(path) as temporary:
        try:
            picture.save(temporary, kind, **options)
        except ValueError as error:  # beyond what the format can hold, such as WebP's 16383 pixels
            raise DataError(f"{path}: {kind} cannot hold this image ({error}); choose another format") from None
