"""Output formats and their capabilities."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import typing

import numpy as np

from blindsr_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Format:
    """An output format.

    Attributes:
      name: its name in options and messages.
      saver: libvips' save operation; empty for BMP, which Pillow writes.
      options: options of the saver.
      quality: default quality of a lossy format, 1 to 100, chosen so that the loss is invisible; None if lossless.
      bits: largest number of bits per channel. AVIF stores 12 bits of a 16-bit image.
      alpha: whether it stores transparency.
      grey: whether it stores grey as one channel; otherwise grey becomes RGB.
      profile: whether it stores a colour profile; otherwise the pixels are converted to sRGB.
    """

    name: str
    saver: str
    options: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    quality: int | None = None
    bits: int = 8
    alpha: bool = True
    grey: bool = True
    profile: bool = True

    def dtype(self, wanted: np.typing.DTypeLike) -> np.dtype:
        """The pixel type to write for pixels of type ``wanted``: uint8 if the format has only 8 bits."""
        return np.dtype(np.uint8) if self.bits == 8 else np.dtype(wanted)


_JPEG = Format("jpg", "jpegsave", {"subsample_mode": "off"}, quality=95, alpha=False)
_TIFF = Format("tiff", "tiffsave", {"compression": "deflate", "predictor": "horizontal"}, bits=16)
_AVIF = {
    "compression": "av1",
    "subsample_mode": "off",
    "effort": 2,
}  # effort 4 took nine times as long, and its files were neither smaller nor better

# Formats by extension. WebP, AVIF and BMP keep the whole image in memory during compression, the others a few rows.
FORMATS = {
    ".png": Format("png", "pngsave", {"compression": 6, "filter": "paeth"}, bits=16),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": Format("webp", "webpsave", {"effort": 4}, quality=95, grey=False),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".avif": Format("avif", "heifsave", _AVIF, quality=85, bits=12, grey=False),
    ".bmp": Format("bmp", "", alpha=False, profile=False),
}
NAMES = tuple(dict.fromkeys(form.name for form in FORMATS.values()))


def format_of(path: str | os.PathLike) -> Format:
    """The format of a path's extension. Raises DataError if the extension is not in ``FORMATS``."""
    path = pathlib.Path(path)
    if path.suffix.lower() not in FORMATS:
        raise DataError(f"{path}: the format must be one of {', '.join(FORMATS)}")
    return FORMATS[path.suffix.lower()]
