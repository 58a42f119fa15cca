"""Tags of TIFF files that tell what libvips would misread or could not decode."""

from __future__ import annotations

import math
import struct
import typing

from blindsr_jax.errors import DataError

Tags = dict[int, tuple[int, ...]]

_SUBFILE, _PHOTOMETRIC, _SUB_IFDS, _EXTRA, _DNG = 254, 262, 330, 338, 50706
SIZES = _, _, _, _COMPRESSION, _SAMPLES = 256, 257, 258, 259, 277  # width, length, bits of a sample
_WANTED = (*SIZES, _SUBFILE, _PHOTOMETRIC, _SUB_IFDS, _EXTRA, _DNG)
_PAGES, _ENTRIES, _VALUES = 65536, 4096, 16  # most directories, tags of one and values of a tag that are read
_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # by the type of a tag; others have no numbers we use
_RGB, _CMYK, _YCBCR = 2, 5, 6
_COLOURS = {0: 1, 1: 1, 3: 1, _RGB: 3, _CMYK: 4, _YCBCR: 3}  # channels of a photometric interpretation
_LAB, _SENSOR = (8, 9, 10), (32803, 34892)
_JPEG = (6, 7)
_CANON = b"\x10\0\0\0CR\2\0"  # bytes 4 to 11 of Canon's raw files
_USUAL = (1, 2, 3, 4, 5, *_JPEG, 8, 32773, 32946)  # compressions that every libvips decodes
_NAMES = {34712: "JPEG 2000", 33003: "JPEG 2000", 33005: "JPEG 2000", 34887: "LERC", 34892: "lossy JPEG", 34925: "LZMA"}
_NAMES |= {50000: "ZSTD", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL", 34933: "PNG", 34927: "JPEG XR"}


def read_tags(file: typing.BinaryIO, page: int = 1) -> Tags:
    """The wanted tags of a page, from 1; empty if the directory cannot be read."""
    try:
        return _directory(file, page)
    except (struct.error, OSError, OverflowError, ValueError):
        return {}


def check_tiff(name: str, tags: Tags, head: bytes) -> None:
    """Refuse what libvips would decode to wrong pixels.

    Args:
      name: the file's name in messages.
      tags: of the page.
      head: the first bytes of the file.

    Raises:
      DataError: a channel beyond the colours is not alpha, the pixels are CIELAB or uncompressed YCbCr, or the file is
        a camera's raw file, whose first page is a small preview.
    """
    kind = tags.get(_PHOTOMETRIC, (1,))[0]
    preview = tags.get(_SUBFILE, (0,))[0] & 1 and _SUB_IFDS in tags
    if _DNG in tags or kind in _SENSOR or head[4:12] == _CANON or preview:
        raise DataError(f"{name}: camera raw files are not read here; develop it to TIFF, PNG or JPEG first")
    if kind in _LAB:
        raise DataError(f"{name}: TIFF in CIELAB is not read here; convert it to RGB first")
    if kind == _YCBCR and tags.get(_COMPRESSION, (1,))[0] not in _JPEG:
        raise DataError(f"{name}: TIFF in YCbCr is read only with JPEG inside; convert it to RGB first")
    colours = _COLOURS.get(kind)
    if colours is None or tags.get(_SAMPLES, (1,))[0] != colours + 1:
        return
    extra = tags.get(_EXTRA, ())
    if extra[:1] in ((1,), (2,)) or (not extra and kind == _RGB):  # old writers of RGBA leave the tag out
        return
    raise DataError(
        f"{name}: channel {colours + 1} is not transparency (ExtraSamples {extra[0] if extra else 'is missing'}) and "
        "would be lost; save the picture without it, and the channel as a grey picture of its own"
    )


def unread_tiff(tags: Tags) -> str:
    """Name a compression that libvips is often built without; empty for all others."""
    compression = tags.get(_COMPRESSION, (1,))[0]
    if compression in _USUAL:
        return ""
    return f"TIFF with {_NAMES.get(compression, f'the unusual compression {compression}')} inside"


def _directory(file: typing.BinaryIO, page: int) -> Tags:
    file.seek(0)
    head = file.read(16)
    order, big = "<" if head[:2] == b"II" else ">", 43 in head[2:4]
    place = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)[0]
    count_format, entry_format, width = (order + "Q", order + "HHQ", 8) if big else (order + "H", order + "HHI", 4)
    link_format = order + ("Q" if big else "I")
    for number in range(1, min(page, _PAGES) + 1):
        file.seek(place)
        count = struct.unpack(count_format, file.read(struct.calcsize(count_format)))[0]
        size = struct.calcsize(entry_format) + width
        if count > _ENTRIES:
            return {}
        entries = file.read(count * size)
        if number == page:
            return _values(file, entries, order, entry_format, width)
        place = struct.unpack(link_format, file.read(width))[0]
        if not place:
            return {}
    return {}


def _values(file: typing.BinaryIO, entries: bytes, order: str, entry_format: str, width: int) -> Tags:
    tags: Tags = {}
    size = struct.calcsize(entry_format) + width
    for at in range(0, len(entries), size):
        tag, kind, count = struct.unpack_from(entry_format, entries, at)
        if tag not in _WANTED or tag in tags:
            continue
        number = _FORMATS.get(kind, "B")
        count = min(count, _VALUES)
        data = entries[at + size - width : at + size]
        if math.prod((count, struct.calcsize(order + number))) > width:
            file.seek(struct.unpack(order + ("Q" if width == 8 else "I"), data)[0])
            data = file.read(count * struct.calcsize(order + number))
        tags[tag] = struct.unpack_from(f"{order}{count}{number}", data)
    return {tag: values for tag, values in tags.items() if values}
