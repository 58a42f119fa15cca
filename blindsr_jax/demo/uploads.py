"""What a visitor gives: read with care, refused with a sentence that says what to do instead."""

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
_FIRST_PAGE = {"page": 1, "max_pixels": 0}  # the limit is the page's own
_SMALLEST = 16  # pixels of a side
# A 16-bit RGBA picture without compression, and so much more that photographs that are too large get here, where they
# are told the limit, before the server refuses their bytes.
_BYTES_PER_PIXEL, _LEAST_BYTES = 8, 32 * 2**20


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture to restore.

    Attributes:
      name: of its file, without folder and extension.
      pixels: as ``ImageFile.pixels``.
      metadata: its colour profile, and what else its file says of it.
    """

    name: str
    pixels: np.ndarray
    metadata: Metadata = dataclasses.field(default_factory=Metadata)


def most_bytes(megapixels: float) -> int:
    """How large an uploaded file may be: more than any picture within the limit takes."""
    return _LEAST_BYTES + int(_BYTES_PER_PIXEL * megapixels * 1e6)


def read_upload(path: str, megapixels: float = MEGAPIXELS) -> Picture:
    """An uploaded file as a picture, of several pages the first; its size is looked at before it is decoded.

    Args:
      path: the file.
      megapixels: the limit.

    Raises:
      DataError: it is no picture, damaged, or larger or smaller than allowed; messages name the file without folder.
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
    """The packaged photographs of the page: those that models are validated on."""
    return list_images(SAMPLE_ROOT / "validation")


def describe(picture: Picture) -> str:
    """Name and size, for people."""
    height, width = picture.pixels.shape[:2]
    return f"{picture.name}, {width} × {height} pixels"
