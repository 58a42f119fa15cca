"""Read a visitor's pictures; refuse unsuitable ones with a sentence that says what to do instead."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from blindsr_jax.data.sources import SAMPLE_ROOT
from blindsr_jax.errors import DataError
from blindsr_jax.images.folders import EXTENSIONS, list_images
from blindsr_jax.images.metadata import Metadata
from blindsr_jax.images.reading import image_size, read_image

MEGAPIXELS = 2.0
_FIRST_PAGE = {"page": 1, "max_pixels": 0}  # no limit when decoding: read_upload checks the page's limit first
_SMALLEST = 16  # pixels: the shortest side of a picture
# Bytes of an uncompressed 16-bit RGBA pixel, and a margin. With the margin, most photographs that are too large still
# reach read_upload, whose message names the limit; without it, the server would refuse the upload.
_BYTES_PER_PIXEL, _LEAST_BYTES = 8, 32 * 2**20


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture to restore.

    Attributes:
      name: name of its file, without folder and extension.
      pixels: see ``ImageFile.pixels``.
      metadata: the colour profile and other metadata of its file.
    """

    name: str
    pixels: np.ndarray
    metadata: Metadata = dataclasses.field(default_factory=Metadata)


def most_bytes(megapixels: float) -> int:
    """The limit on the size of uploaded files: more bytes than any picture within the limit needs."""
    return _LEAST_BYTES + int(_BYTES_PER_PIXEL * megapixels * 1e6)


def read_upload(path: str, megapixels: float = MEGAPIXELS) -> Picture:
    """Read an uploaded picture, checking its size before decoding it; only the first page of a file is read.

    Args:
      path: the file.
      megapixels: the limit.

    Raises:
      DataError: the file is not a picture, is damaged, or is larger or smaller than allowed. Messages name the file
        without its folder.
    """
    file = pathlib.Path(path)
    try:
        height, width = image_size(file, **_FIRST_PAGE)
    except DataError:
        kinds = ", ".join(extension[1:].upper() for extension in EXTENSIONS if extension not in (".jpeg", ".tiff"))
        raise DataError(f"{file.name} is not a picture, or it is damaged. This page takes {kinds}") from None
    if height * width > megapixels * 1e6:
        raise DataError(
            f"{file.name} has {height * width / 1e6:.1f} megapixels ({width}×{height}); this page takes up to "
            f"{megapixels:g}. Take a part of it, or start the page with a larger --max-megapixels"
        )
    if min(height, width) < _SMALLEST:
        raise DataError(f"{file.name} has {width}×{height} pixels: too few, each side needs {_SMALLEST} or more")
    try:
        image = read_image(file, **_FIRST_PAGE)
    except DataError as error:
        raise DataError(str(error).replace(str(file), file.name)) from None
    return Picture(file.stem, image.pixels, image.metadata)


def samples() -> list[pathlib.Path]:
    """The page's sample photographs, which are those that models are validated on."""
    return list_images(SAMPLE_ROOT / "validation")


def describe(picture: Picture) -> str:
    """A picture's name and size as text."""
    height, width = picture.pixels.shape[:2]
    return f"{picture.name}, {width} × {height} pixels"
