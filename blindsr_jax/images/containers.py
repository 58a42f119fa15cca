"""Chunks of PNG files and boxes of HEIF files, for what libvips does not tell. Searches are bounded."""

from __future__ import annotations

import struct
import typing

_MOST = 1000  # chunks of a PNG, or boxes of one level, that are searched


def png_chunks(file: typing.BinaryIO, wanted: typing.Collection[bytes]) -> dict[bytes, bytes]:
    """The first 64 bytes of each wanted chunk before the pixels of a PNG, by its name; of several, the first."""
    file.seek(8)
    found: dict[bytes, bytes] = {}
    for _ in range(_MOST):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IDAT":
            break
        length, name = struct.unpack(">I4s", head)
        content = file.read(min(length, 64)) if name in wanted else b""
        if name in wanted:
            found.setdefault(name, content)
        file.seek(length - len(content) + 4, 1)
    return found


def box(file: typing.BinaryIO, start: int, end: int, name: bytes) -> tuple[int, int] | None:
    """The byte range [start, end) of the content of the first box with that name in a part of the file, or None."""
    return next(((first, last) for found, first, last in boxes(file, start, end) if found == name), None)


def boxes(file: typing.BinaryIO, start: int, end: int) -> typing.Iterator[tuple[bytes, int, int]]:
    """The boxes (ISO 14496-12) in a part of the file: name, and first byte and end of the content."""
    for _ in range(_MOST):
        file.seek(start)
        head = file.read(16)
        if start + 8 > end or len(head) < 8:
            return
        length, header = struct.unpack(">I", head[:4])[0], 8
        if length == 1 and len(head) == 16:
            length, header = struct.unpack(">Q", head[8:])[0], 16
        stop = min(start + length, end) if length else end
        if stop < start + header:
            return
        yield head[4:8], start + header, stop
        start = stop
