"""Frame counts of animated PNG and AVIF files. libvips reads only their still image and does not count frames."""

from __future__ import annotations

import struct
import typing

_CHUNKS = 1000  # most PNG chunks, or AVIF boxes of one level, to search
_SAMPLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz")  # path to the sample count of an AVIF sequence


def png_frames(file: typing.BinaryIO) -> int:
    """Number of frames that a PNG declares in the APNG chunk ``acTL``, which precedes the pixels; 1 for a plain PNG."""
    file.seek(8)
    for _ in range(_CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IDAT":
            break
        if head[4:] == b"acTL":
            count = file.read(4)
            return max(struct.unpack(">I", count)[0], 1) if len(count) == 4 else 1
        file.seek(struct.unpack(">I", head[:4])[0] + 4, 1)
    return 1


def avif_frames(file: typing.BinaryIO) -> int:
    """Number of samples in the first track of an AVIF (ISO 14496-12, ``stsz``); 1 if it has no track."""
    start, end = 0, file.seek(0, 2)
    for name in _SAMPLES:
        found = _box(file, start, end, name)
        if found is None:
            return 1
        start, end = found
    file.seek(start + 8)
    count = file.read(4)
    return max(struct.unpack(">I", count)[0], 1) if len(count) == 4 else 1


def _box(file: typing.BinaryIO, start: int, end: int, name: bytes) -> tuple[int, int] | None:
    """The byte range [start, end) of the content of the first box with that name in a part of the file, or None."""
    for _ in range(_CHUNKS):
        file.seek(start)
        head = file.read(16)
        if start + 8 > end or len(head) < 8:
            return None
        length, header = struct.unpack(">I", head[:4])[0], 8
        if length == 1 and len(head) == 16:
            length, header = struct.unpack(">Q", head[8:])[0], 16
        stop = min(start + length, end) if length else end
        if head[4:8] == name:
            return start + header, stop
        if stop < start + header:
            return None
        start = stop
    return None
