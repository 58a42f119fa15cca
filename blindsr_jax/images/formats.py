"""The formats in which images are written, and what each can hold."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import typing

import numpy as np

from blindsr_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Format:
    """How images of one format are written.

    Attributes:
      name: as users write it.
      saver: libvips' operation; empty for BMP, which Pillow writes.
      options: of the saver.
      quality: of a lossy format, from 1 to 100, by default one at which the loss does not show; None: nothing is lost.
      bits: the most that a channel has. AVIF's are 12, of a picture of 16.
      alpha: whether it holds transparency.
      grey: whether it holds grey as one channel; otherwise grey becomes RGB.
    """

    name: str
    saver: str
    options: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    quality: int | None = None
    bits: int = 8
    alpha: bool = True
    grey: bool = True

    def dtype(self, wanted: np.typing.DTypeLike) -> np.dtype:
        """The type of pixels that are written where these are wanted."""
        return np.dtype(np.uint8) if self.bits == 8 else np.dtype(wanted)


_JPEG = Format("jpg", "jpegsave", {"subsample_mode": "off"}, quality=95, alpha=False)
_TIFF = Format("tiff", "tiffsave", {"compression": "deflate", "predictor": "horizontal"}, bits=16)
_AVIF = {
    "compression": "av1",
    "subsample_mode": "off",
    "effort": 2,
}  # 4 took nine times as long, for no smaller and no better files

# By extension. WebP, AVIF and BMP hold the whole image while it is compressed, the others a few rows.
FORMATS = {
    ".png": Format("png", "pngsave", {"compression": 6, "filter": "paeth"}, bits=16),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": Format("webp", "webpsave", {"effort": 4}, quality=95, grey=False),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".avif": Format("avif", "heifsave", _AVIF, quality=85, bits=12, grey=False),
    ".bmp": Format("bmp", "", alpha=False),
}
NAMES = tuple(dict.fromkeys(form.name for form in FORMATS.values()))


def format_of(path: str | os.PathLike) -> Format:
    """By the path's extension. Raises DataError for another than those of ``FORMATS``."""
    path = pathlib.Path(path)
    if path.suffix.lower() not in FORMATS:
        raise DataError(f"{path}: the format must be one of {', '.join(FORMATS)}")
    return FORMATS[path.suffix.lower()]
