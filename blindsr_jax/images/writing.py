"""Writing image files row by row and atomically. Except for WebP, AVIF and BMP, only a few rows are in memory."""

from __future__ import annotations

import contextlib
import math
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
from blindsr_jax.images.formats import Format, format_of
from blindsr_jax.images.libvips import libvips, words_of
from blindsr_jax.images.metadata import Metadata
from blindsr_jax.images.reading import ImageFile, to_eight_bits

Write = typing.Callable[[np.ndarray], None]

_SIGNATURE, _PNG_KINDS = b"\x89PNG\r\n\x1a\n", {1: 0, 2: 4, 3: 2, 4: 6}
_LINES = 64  # rows passed to libvips at once
_LARGE = 2**31  # TIFFs with at least this many bytes of pixels are written as BigTIFF


@contextlib.contextmanager
def row_writer(
    path: str | os.PathLike,
    shape: tuple[int, ...],
    dtype: np.dtype,
    metadata: Metadata | None = None,
    quality: int | None = None,
) -> typing.Iterator[Write]:
    """Context manager that yields a function to write the rows of an image, from top to bottom.

    The file appears atomically at the end of the block. Formats without alpha get the image on white. Formats of 8 bits
    get 16-bit pixels rounded to 8.

    Args:
      path: path of the file; its extension determines the format.
      shape: [H, W] grey, [H, W, 2] grey and alpha, [H, W, 3] or [H, W, 4].
      dtype: uint8 or uint16.
      metadata: metadata to write.
      quality: quality of lossy formats, 1 to 100; the format's default if not given.

    Yields:
      A function that takes an array of rows, [N, W] or [N, W, C].

    Raises:
      DataError: the extension is unknown, the format cannot hold the image, or the file cannot be written.
    """
    path, form = pathlib.Path(path), format_of(path)
    channels = shape[2] if len(shape) == 3 else 1
    opaque, kept = not form.alpha and channels in (2, 4), form.dtype(dtype)
    size = shape[0], shape[1], channels - opaque

    def fitted(rows: np.ndarray) -> np.ndarray:
        rows = to_eight_bits(rows) if kept == np.uint8 else rows
        return on_white(rows) if opaque else rows

    with atomic_path(path) as temporary:
        saving = _Saving(temporary, form, size, kept, metadata or Metadata(), quality)
        try:
            with saving.running() if form.saver else _held(temporary, metadata) as write:
                yield lambda rows: write(fitted(rows))
        except _Refused as error:  # beyond the limits of the format, such as WebP's 16383 pixels
            raise DataError(f"{path}: cannot be written ({error}); choose another format or place") from None


def write_image(path: str | os.PathLike, image: ImageFile) -> None:
    """Write an image atomically, in the format of the path's extension. Formats without alpha get it on white.

    Raises:
      DataError: as ``row_writer``.
    """
    with row_writer(path, image.pixels.shape, image.pixels.dtype, image.metadata) as write:
        write(image.pixels)


class _Refused(Exception):
    """libvips refused to write an image. The message is libvips'."""


class _Saving:
    """A thread in which libvips writes a file, pulling rows as it needs them.

    The rows reach libvips as an uncompressed PNG, because that is the only form in which it can stream pixels.
    """

    def __init__(
        self,
        path: pathlib.Path,
        form: Format,
        size: tuple[int, int, int],
        dtype: np.dtype,
        metadata: Metadata,
        quality: int | None,
    ):
        self._path, self._form, self._size, self._dtype = path, form, size, dtype
        self._metadata, self._quality = metadata, quality
        self._queue: queue.Queue[bytes] = queue.Queue(maxsize=2)
        self._rest, self._ended, self._message = memoryview(b""), False, ""

    @contextlib.contextmanager
    def running(self) -> typing.Iterator[Write]:
        height, width, channels = self._size
        thread = threading.Thread(target=self._save, daemon=True)
        thread.start()
        try:
            depth, kind = 8 * self._dtype.itemsize, _PNG_KINDS[channels]
            header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
            self._put(_SIGNATURE + _chunk(b"IHDR", header), thread)
            stored = zlib.compressobj(level=0)

            def write(rows: np.ndarray) -> None:
                lines = np.ascontiguousarray(rows, self._dtype.newbyteorder(">")).view(np.uint8).reshape(len(rows), -1)
                lines = np.pad(lines, ((0, 0), (1, 0)))  # each PNG line begins with its filter type, 0 for none
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
        """The next bytes, at most ``length``; empty at the end."""
        if not self._rest and not self._ended:
            self._rest = memoryview(self._queue.get())
            self._ended = not self._rest
        part, self._rest = self._rest[:length], self._rest[length:]
        return bytes(part)

    def _save(self) -> None:
        vips = libvips()
        source = vips.SourceCustom()
        source.on_read(self._read)
        try:
            image = vips.Image.pngload_source(source, access="sequential")
            image = self._metadata.added_to(image, grey=self._form.grey and self._size[2] <= 2)
            getattr(image, self._form.saver)(str(self._path), **self._options())
        except vips.Error as error:
            self._message = words_of(error)

    def _options(self) -> dict[str, typing.Any]:
        options, form = dict(self._form.options), self._form
        if form.quality:
            options["Q"] = self._quality or form.quality
        if form.saver == "tiffsave":
            options["bigtiff"] = math.prod(self._size) * self._dtype.itemsize >= _LARGE
        if form.saver == "heifsave":
            options["bitdepth"] = min(form.bits, 8 * self._dtype.itemsize)
        return options


def _chunk(name: bytes, data: bytes) -> bytes:
    return b"".join((struct.pack(">I", len(data)), name, data, struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))))


@contextlib.contextmanager
def _held(path: pathlib.Path, metadata: Metadata | None) -> typing.Iterator[Write]:
    """Collect all rows, and write them with Pillow at the end. Of the metadata, BMP stores only the resolution."""
    rows: list[np.ndarray] = []
    yield rows.append
    resolution = metadata.resolution if metadata else None
    dpi: dict[str, typing.Any] = {"dpi": tuple(25.4 * per_mm for per_mm in resolution)} if resolution else {}
    Image.fromarray(np.concatenate(rows)).save(path, **dpi)


def on_white(rows: np.ndarray) -> np.ndarray:
    """Blend grey and alpha, or RGBA, onto white and drop alpha."""
    picture = Image.fromarray(rows)
    opaque = Image.new("RGBA", picture.size, "white")
    opaque.alpha_composite(picture.convert("RGBA"))
    return np.asarray(opaque.convert(picture.mode.removesuffix("A")))
