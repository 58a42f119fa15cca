"""EXIF without what speaks of the pixels of the picture as it was: orientation, thumbnail, sizes and places."""

from __future__ import annotations

import struct

_CAMERA, _INTEROPERABILITY = 0x8769, 0xA005  # tags that point to directories
# libvips corrects PixelXDimension and PixelYDimension when it writes.
_GONE = {
    0x0100: "ImageWidth",
    0x0101: "ImageLength",
    0x0102: "BitsPerSample",
    0x0103: "Compression",
    0x0106: "PhotometricInterpretation",
    0x0112: "Orientation",
    0x0115: "SamplesPerPixel",
    0x9214: "SubjectArea",
    0xA214: "SubjectLocation",
    0x1001: "RelatedImageWidth",
    0x1002: "RelatedImageLength",
}
_PREFIX = b"Exif\0\0"
_THUMBNAIL = "exif-ifd1-"


def holds(field: str) -> bool:
    """Whether a field of EXIF, by libvips' name such as ``exif-ifd0-Make``, holds for the restored picture."""
    return not field.startswith(_THUMBNAIL) and field.rpartition("-")[2] not in _GONE.values()


def corrected_exif(exif: bytes) -> bytes:
    """EXIF without these tags, and without the link to the directory of the thumbnail; empty if it is damaged."""
    start = len(_PREFIX) if exif.startswith(_PREFIX) else 0
    data, order = bytearray(exif[start:]), "<" if exif[start : start + 2] == b"II" else ">"
    try:
        places = [struct.unpack_from(order + "I", data, 4)[0]]
        for place in places:
            places += _clean(data, order, place)[: 3 - len(places)]
    except (struct.error, IndexError):
        return b""
    return exif[:start] + bytes(data)


def _clean(data: bytearray, order: str, place: int) -> list[int]:
    """Remove tags from a directory in place; return the places of the directories below."""
    count = struct.unpack_from(order + "H", data, place)[0]
    end = place + 2 + 12 * count
    if end + 4 > len(data):
        raise IndexError
    entries = [bytes(data[at : at + 12]) for at in range(place + 2, end, 12)]
    kept = [entry for entry in entries if struct.unpack_from(order + "H", entry)[0] not in _GONE]
    data[place : end + 4] = (struct.pack(order + "H", len(kept)) + b"".join(kept)).ljust(end + 4 - place, b"\0")
    pointers = [struct.unpack(order + "HHII", entry) for entry in kept]
    return [value for tag, _, _, value in pointers if tag in (_CAMERA, _INTEROPERABILITY)]
