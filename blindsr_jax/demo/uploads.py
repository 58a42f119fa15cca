"""Read a visitor's pictures, shrink or cut large ones, refuse unsuitable ones with a sentence that says what to do."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import threading
import typing

import numpy as np
from PIL import Image, ImageDraw

from blindsr_jax.data.sources import SAMPLE_ROOT
from blindsr_jax.demo.views import shown
from blindsr_jax.errors import DataError
from blindsr_jax.images.folders import list_images
from blindsr_jax.images.metadata import Metadata
from blindsr_jax.images.reading import image_size, read_image
from blindsr_jax.inference.shrinking import shrunk
from blindsr_jax.pictures import from_unit

MEGAPIXELS = 2.0
MOST_MEGAPIXELS = 64  # of a file that is opened, to be shrunk or cut
_FIRST_PAGE = {"page": 1, "max_pixels": 0}  # no limit when decoding: read_upload checks the page's limit first
_OPENING = threading.Lock()  # large pictures take much memory, so one is opened at a time
_ROWS = 256  # rows of a shrunk picture that are computed at once
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


class Upload(typing.NamedTuple):
    """An opened file.

    Attributes:
      picture: the picture to restore: the whole file, shrunk if it is too large, or a part of it.
      path: the file.
      size: height and width of the whole.
      view: the whole for the browser, uint8 [H', W', 3], with the frame of the part.
      change: what was done to a picture that is too large; empty for others.
    """

    picture: Picture
    path: str
    size: tuple[int, int]
    view: np.ndarray
    change: str = ""

    @property
    def bytes(self) -> int:
        """The memory that it takes."""
        return self.picture.pixels.nbytes + self.view.nbytes


def most_bytes(megapixels: float) -> int:
    """The limit on the size of uploaded files: more bytes than any picture within the limit needs."""
    return _LEAST_BYTES + int(_BYTES_PER_PIXEL * megapixels * 1e6)


def read_upload(path: str, megapixels: float = MEGAPIXELS, centre: tuple[float, float] | None = None) -> Upload:
    """Read an uploaded picture, checking its size before decoding it; only the first page of a file is read.

    Args:
      path: the file.
      megapixels: a larger picture is shrunk, or cut.
      centre: the centre of the part to cut out of a larger picture, as shares of height and width; None shrinks it.

    Raises:
      DataError: the file is not a picture, is damaged, has more than ``MOST_MEGAPIXELS``, or is too small. Messages
        name the file without its folder.
    """
    file = pathlib.Path(path)
    try:
        height, width = image_size(file, **_FIRST_PAGE)
    except DataError as error:
        raise DataError(_without_folder(error, file)) from None
    if height * width > MOST_MEGAPIXELS * 1e6:
        raise DataError(
            f"{file.name} has {height * width / 1e6:.0f} megapixels ({width}×{height}); this page opens up to "
            f"{MOST_MEGAPIXELS}. Shrink it, or use 'blindsr restore', which has no such limit"
        )
    if min(height, width) < _SMALLEST:
        raise DataError(f"{file.name} has {width}×{height} pixels: too few, each side needs {_SMALLEST} or more")
    with _OPENING:
        return _opened(path, (height, width), megapixels, centre)


def _opened(path: str, size: tuple[int, int], megapixels: float, centre: tuple[float, float] | None) -> Upload:
    file, (height, width) = pathlib.Path(path), size
    try:
        image = read_image(file, **_FIRST_PAGE)
    except DataError as error:
        raise DataError(_without_folder(error, file)) from None
    whole, view = image.pixels, shown(image.pixels, image.metadata.icc_profile)
    if height * width <= megapixels * 1e6:
        return Upload(Picture(file.stem, whole, image.metadata), path, size, view)
    if centre is None:
        factor = shrink_for(size, megapixels)
        picture = Picture(file.stem, _shrunk(whole, factor), image.metadata)
        return Upload(picture, path, size, view, f"shrunk {factor} times, from {width} × {height}")
    top, left, high, wide = part_of(size, centre, megapixels)
    picture = Picture(file.stem, whole[top : top + high, left : left + wide].copy(), image.metadata)
    framed = _framed(view, [n / length for n, length in zip((top, left, high, wide), (*size, *size))])
    return Upload(picture, path, size, framed, f"a part of {width} × {height}; tap the picture to choose another")


def shrink_for(size: tuple[int, int], megapixels: float) -> int:
    """How many times a picture of height and width is shrunk to have at most so many megapixels."""
    factor = 1
    while math.ceil(size[0] / factor) * math.ceil(size[1] / factor) > megapixels * 1e6:
        factor += 1
    return factor


def part_of(size: tuple[int, int], centre: tuple[float, float], megapixels: float) -> tuple[int, int, int, int]:
    """Top, left, height and width of the part of a picture that has at most so many megapixels, in its proportions.

    Args:
      size: height and width of the picture.
      centre: where the part lies, as shares of the height and the width; it is moved to lie in the picture.
      megapixels: the limit.
    """
    factor = min(1.0, (megapixels * 1e6 / (size[0] * size[1])) ** 0.5)
    sides = [max(1, int(n * factor)) for n in size]
    starts = [min(max(round(share * n - side / 2), 0), n - side) for share, side, n in zip(centre, sides, size)]
    return starts[0], starts[1], sides[0], sides[1]


def _shrunk(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Shrink a picture some rows at a time, which takes little memory."""
    rows, reach, parts = _ROWS * factor, 4 * factor, []
    for first in range(0, len(pixels), rows):
        start, last = max(first - reach, 0), min(first + rows, len(pixels))
        small = shrunk(pixels[start : last + reach], factor)
        small = small[(first - start) // factor :][: math.ceil((last - first) / factor)]
        parts.append(from_unit(small, pixels.dtype))
    return np.concatenate(parts)


def _framed(view: np.ndarray, shares: typing.Sequence[float]) -> np.ndarray:
    """Draw the frame of a part, whose top, left, height and width are shares of the picture's sides."""
    height, width = view.shape[:2]
    top, left, high, wide = (share * n for share, n in zip(shares, (height, width, height, width)))
    picture = Image.fromarray(view // 2)
    inner = tuple(round(n) for n in (left, top, left + wide, top + high))
    picture.paste(Image.fromarray(view).crop(inner), inner[:2])
    ImageDraw.Draw(picture).rectangle(inner, outline="white", width=max(2, width // 300))
    return np.asarray(picture)


def _without_folder(error: DataError, file: pathlib.Path) -> str:
    return str(error).replace(str(file), file.name)


def samples() -> list[pathlib.Path]:
    """The page's sample photographs, which are those that models are validated on."""
    return list_images(SAMPLE_ROOT / "validation")


def describe(upload: Upload) -> str:
    """A picture's name and size as text, and what was done to it."""
    height, width = upload.picture.pixels.shape[:2]
    text = f"{upload.picture.name}, {width} × {height} pixels"
    return f"{text}: {upload.change}" if upload.change else text
