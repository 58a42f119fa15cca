"""Frame counts of animated PNG and AVIF files. libvips reads only their still image and does not count frames."""

from __future__ import annotations

import struct
import typing

from blindsr_jax.images.containers import box, png_chunks

_SAMPLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz")  # path to the sample count of an AVIF sequence


def png_frames(file: typing.BinaryIO) -> int:
    """Number of frames that a PNG declares in the APNG chunk ``acTL``, which precedes the pixels; 1 for a plain PNG."""
    count = png_chunks(file, (b"acTL",)).get(b"acTL", b"")[:4]
    return max(struct.unpack(">I", count)[0], 1) if len(count) == 4 else 1


def avif_frames(file: typing.BinaryIO) -> int:
    """Number of samples in the first track of an AVIF (ISO 14496-12, ``stsz``); 1 if it has no track."""
    start, end = 0, file.seek(0, 2)
    for name in _SAMPLES:
        found = box(file, start, end, name)
        if found is None:
            return 1
        start, end = found
    file.seek(start + 8)
    count = file.read(4)
    return max(struct.unpack(">I", count)[0], 1) if len(count) == 4 else 1
