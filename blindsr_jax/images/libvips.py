"""libvips, which reads and writes image files, configured for untrusted files."""

from __future__ import annotations

import atexit
import functools
import logging
import types
import typing

import numpy as np

TYPES = {"uchar": np.uint8, "ushort": np.uint16}
_ROWS, _BYTES = 128, 2**24  # most rows decoded at once, and about the most bytes
_SYSTEM = "system error: "
_LEVELS = 0b11111000  # GLib's criticals, warnings and all below


@functools.cache
def libvips() -> types.ModuleType:
    """Import pyvips, when an image file is first read or written.

    The loaders that libvips marks as untrusted are blocked, and its cache is off. Its warnings are discarded: those
    that matter also arrive as errors, and pyvips' log handler fails on warnings that quote a damaged file.
    """
    import pyvips

    logging.getLogger("pyvips").setLevel(logging.CRITICAL)
    if pyvips.API_mode:  # true of pyvips' wheels
        pyvips.ffi.def_extern(name="_log_handler_callback")(lambda *_: None)
        for domain in (b"GLib", b"GLib-GObject"):  # they would write to stderr
            handler = pyvips.glib_lib.g_log_set_handler(domain, _LEVELS, pyvips._log_handler_cb, pyvips.ffi.NULL)
            atexit.register(pyvips.glib_lib.g_log_remove_handler, domain, handler)
    # libvips' messages quote damaged files, whose bytes need not be UTF-8.
    pyvips.error._to_string = lambda text: pyvips.ffi.string(text).decode(errors="replace") if text else ""
    pyvips.cache_set_max(0)
    pyvips.block_untrusted_set(True)
    return pyvips


def words_of(error: Exception) -> str:
    """libvips' error message on one short line.

    libvips accumulates messages. The system's word, such as that a disk is full, comes first; else the last one gives
    the reason.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "bad seek" not in line]
    system = [line.removeprefix(_SYSTEM) for line in lines if line.startswith(_SYSTEM) and "Unknown error" not in line]
    text = next(iter(system or lines[-1:]), "unknown error")
    return text if len(text) <= 160 else text[:157] + "..."


def pixels_of(image: typing.Any) -> np.ndarray:
    """The pixels [H, W, C] of a libvips image of 8 or 16 bits, fetched a few rows at a time in this thread.

    libvips' own conversion starts threads for each image, but training already reads many images at once.
    """
    result = np.empty((image.height, image.width, image.bands), TYPES[image.format])
    region = libvips().Region.new(image)
    step = max(min(_ROWS, _BYTES // result[0].nbytes), 1)
    for top in range(0, image.height, step):
        count = min(step, image.height - top)
        rows = np.frombuffer(region.fetch(0, top, image.width, count), result.dtype)
        result[top : top + count] = rows.reshape(count, *result.shape[1:])
    return result
