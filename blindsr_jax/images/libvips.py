"""libvips, which reads and writes image files, set up for files that nobody vouches for."""

from __future__ import annotations

import functools
import logging
import types
import typing

import numpy as np

TYPES = {"uchar": np.uint8, "ushort": np.uint16}
_ROWS = 128  # decoded at once


@functools.cache
def libvips() -> types.ModuleType:
    """pyvips, imported when an image file is first read or written.

    Its loaders for untrusted kinds are off, and it keeps nothing of what it has read. Its warnings go nowhere: what
    matters of them comes as an error, and pyvips' own way to log them stumbles over those that quote a damaged file.
    """
    import pyvips

    logging.getLogger("pyvips").setLevel(logging.CRITICAL)
    if pyvips.API_mode:  # as its wheels are
        pyvips.ffi.def_extern(name="_log_handler_callback")(lambda *_: None)
    pyvips.cache_set_max(0)
    pyvips.block_untrusted_set(True)
    return pyvips


def words_of(error: Exception) -> str:
    """What libvips says went wrong, in one short line; it gathers messages, of which the last is the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "bad seek" not in line]
    text = lines[-1] if lines else "unknown error"
    return text if len(text) <= 160 else text[:157] + "..."


def pixels_of(image: typing.Any) -> np.ndarray:
    """All pixels [H, W, C] of a libvips image of 8 or 16 bits, a few rows at a time, in this thread.

    libvips' own way would start threads for each image, of which training reads many at once.
    """
    result = np.empty((image.height, image.width, image.bands), TYPES[image.format])
    region = libvips().Region.new(image)
    for top in range(0, image.height, _ROWS):
        count = min(_ROWS, image.height - top)
        rows = np.frombuffer(region.fetch(0, top, image.width, count), result.dtype)
        result[top : top + count] = rows.reshape(count, *result.shape[1:])
    return result
