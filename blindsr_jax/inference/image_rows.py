"""Image files written row by row: only a few rows of an image are ever held, by us or by the library that writes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import queue
import struct
import threading
import typing
import zlib

import numpy as np
from PIL import Image

from blindsr_jax.errors import DataError
from blindsr_jax.files import atomic_path

Write = typing.Callable[[np.ndarray], None]

# How libvips writes each extension: lossy formats at a quality where the loss does not show. WebP has to hold the
# whole image while it compresses, BMP, which libvips does not write, comes from Pillow and is held as well.
_JPEG = ("jpegsave", {"Q": 95, "subsample_mode": "off"})
_TIFF = ("tiffsave", {"compression": "deflate", "predictor": "horizontal"})
_SAVERS: dict[str, tuple[str, dict[str, typing.Any]]] = {
    ".png": ("pngsave", {"compression": 6, "filter": "paeth"}),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": ("webpsave", {"Q": 95, "effort": 4}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": ("bmp", {}),
}
_OPAQUE, _EIGHT_BITS = ("jpegsave", "bmp"), ("jpegsave", "webpsave", "bmp")
_SIGNATURE, _PNG_KINDS = b"\x89PNG\r\n\x1a\n", {1: 0, 2: 4, 3: 2, 4: 6}
_LINES = 64  # rows that are handed over at once
_LARGE = 2**31  # bytes of pixels from which on a TIFF is a BigTIFF


@contextlib.contextmanager
def row_writer(
    path: str | os.PathLike, shape: tuple[int, ...], dtype: np.dtype, icc_profile: bytes | None = None
) -> typing.Iterator[Write]:
    """A function that takes an image's rows from top to bottom; when the block ends the file is there, atomically.

    Formats without alpha get the image on white, those of 8 bits the upper 8 of 16.

    Args:
      path: its extension says the format.
      shape: [H, W] grey, [H, W, 2] grey and alpha, [H, W, 3] or [H, W, 4].
      dtype: uint8, or uint16.
      icc_profile: the colour profile's bytes.

    Raises:
      DataError: the extension is unknown, the format cannot hold the image, or the file cannot be written.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in _SAVERS:
        raise DataError(f"{path}: the format must be one of {', '.join(_SAVERS)}")
    saver, options = _SAVERS[path.suffix.lower()]
    channels = shape[2] if len(shape) == 3 else 1
    opaque, narrow = saver in _OPAQUE and channels in (2, 4), saver in _EIGHT_BITS and dtype == np.uint16
    size = shape[0], shape[1], channels - opaque

    def fitted(rows: np.ndarray) -> np.ndarray:
        rows = (rows // 257).astype(np.uint8) if narrow else rows
        return _on_white(rows) if opaque else rows

    dtype = np.dtype(np.uint8) if narrow else np.dtype(dtype)
    if saver == "tiffsave":
        options = options | {"bigtiff": int(np.prod(size)) * dtype.itemsize >= _LARGE}
    with atomic_path(path) as temporary:
        try:
            inner = _held(temporary, icc_profile) if saver == "bmp" else _Saving(temporary, size, dtype, icc_profile)
            with inner if saver == "bmp" else inner.running(saver, options) as write:
                yield lambda rows: write(fitted(rows))
        except _Refused as error:  # beyond what the format can hold, such as WebP's 16383 pixels
            raise DataError(f"{path}: cannot be written ({error}); choose another format or place") from None


class _Refused(Exception):
    """libvips did not write an image; in its words."""


class _Saving:
    """A thread in which libvips writes a file, taking rows as it needs them.

    It is handed them as a PNG that is not compressed, the one form in which it reads pixels from a stream as they come.
    """

    def __init__(self, path: pathlib.Path, size: tuple[int, int, int], dtype: np.dtype, icc_profile: bytes | None):
        self._path, self._size, self._dtype, self._profile = path, size, dtype, icc_profile
        self._queue: queue.Queue[bytes] = queue.Queue(maxsize=2)
        self._rest, self._ended, self._message = memoryview(b""), False, ""

    @contextlib.contextmanager
    def running(self, saver: str, options: dict[str, typing.Any]) -> typing.Iterator[Write]:
        height, width, channels = self._size
        thread = threading.Thread(target=self._save, args=(saver, options), daemon=True)
        thread.start()
        try:
            depth, kind = 8 * self._dtype.itemsize, _PNG_KINDS[channels]
            header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
            self._put(_SIGNATURE + _chunk(b"IHDR", header), thread)
            stored = zlib.compressobj(level=0)

            def write(rows: np.ndarray) -> None:
                lines = np.ascontiguousarray(rows, self._dtype.newbyteorder(">")).view(np.uint8).reshape(len(rows), -1)
                lines = np.pad(lines, ((0, 0), (1, 0)))  # each begins with the number of its filter: none
                for first in range(0, len(lines), _LINES):
                    data = stored.compress(lines[first : first + _LINES])
                    self._put(_chunk(b"IDAT", data), thread)

            yield write
            self._put(_chunk(b"IDAT", stored.flush()) + _chunk(b"IEND", b""), thread)
        finally:
            with contextlib.suppress(_Refused):
                self._put(b"", thread)
            thread.join()
        if self._message:
            raise _Refused(self._message)

    def _put(self, data: bytes, thread: threading.Thread) -> None:
        while thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._queue.put(data, timeout=0.1)
                return
        raise _Refused(self._message)

    def _read(self, length: int) -> bytes:
        """The next bytes, at most so many; none at the end."""
        if not self._rest and not self._ended:
            self._rest = memoryview(self._queue.get())
            self._ended = not self._rest
        part, self._rest = self._rest[:length], self._rest[length:]
        return bytes(part)

    def _save(self, saver: str, options: dict[str, typing.Any]) -> None:
        import pyvips

        pyvips.cache_set_max(0)  # it would keep what it has read
        source = pyvips.SourceCustom()
        source.on_read(self._read)
        try:
            image = pyvips.Image.new_from_source(source, "", access="sequential").copy()
            if self._profile:
                image.set_type(pyvips.GValue.blob_type, "icc-profile-data", self._profile)
            getattr(image, saver)(str(self._path), **options)
        except pyvips.Error as error:
            self._message = " ".join(str(error).split()) or "unknown error"


def _chunk(name: bytes, data: bytes) -> bytes:
    return b"".join((struct.pack(">I", len(data)), name, data, struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))))


@contextlib.contextmanager
def _held(path: pathlib.Path, icc_profile: bytes | None) -> typing.Iterator[Write]:
    """All rows, written by Pillow at the end."""
    rows: list[np.ndarray] = []
    yield rows.append
    Image.fromarray(np.concatenate(rows)).save(path, icc_profile=icc_profile)


def _on_white(rows: np.ndarray) -> np.ndarray:
    """Grey and alpha, or RGBA, on white: without alpha."""
    picture = Image.fromarray(rows)
    opaque = Image.new("RGBA", picture.size, "white")
    opaque.alpha_composite(picture.convert("RGBA"))
    return np.asarray(opaque.convert(picture.mode.removesuffix("A")))
