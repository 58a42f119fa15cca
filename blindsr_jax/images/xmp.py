"""XMP and IPTC without what speaks of the picture as it was: sizes, orientation, thumbnails, and parts of other files.

Phones describe in XMP a gain map, a video or a depth map that follows the picture in the same file. An output has none
of them, and readers that look for them fail or show wrong brightness.
"""

from __future__ import annotations

import re
import struct
import typing
import xml.parsers.expat

# Namespaces of which nothing holds any more: gain maps, motion photos, depth, panoramas in pixels, extended XMP.
_GONE = (
    "http://ns.adobe.com/hdr-gain-map/",
    "http://ns.adobe.com/xmp/note/",
    "http://ns.adobe.com/xap/1.0/g/img/",
    "http://ns.google.com/photos/",
    "http://ns.apple.com/HDRGainMap/",
    "http://ns.apple.com/HDRToneMap/",
    "http://ns.apple.com/pixeldatainfo/",
    "http://ns.apple.com/depthData/",
    "http://ns.apple.com/portrait",
    "http://ns.xiaomi.com/photos/",
)
_TIFF, _EXIF, _XMP = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/", "http://ns.adobe.com/xap/1.0/"
_GONE_NAMES = {f"{_XMP} Thumbnails", "http://www.metadataworkinggroup.com/schemas/regions/ AppliedToDimensions"}
_GONE_NAMES |= {
    f"{_TIFF} {name}"
    for name in (
        *("ImageWidth", "ImageLength", "Orientation", "BitsPerSample", "SamplesPerPixel", "Compression"),
        *("PhotometricInterpretation", "PlanarConfiguration", "YCbCrSubSampling", "YCbCrPositioning", "NativeDigest"),
    )
}
_GONE_NAMES |= {
    f"{_EXIF} {name}"
    for name in ("PixelXDimension", "PixelYDimension", "SubjectArea", "SubjectLocation", "NativeDigest")
}
_LARGEST = 2**20  # bytes; larger XMP holds pictures
_TAG = re.compile(rb"""<[^>"']*(?:"[^"]*"[^>"']*|'[^']*'[^>"']*)*>""")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=>/]+)\s*=\s*("[^"]*"|'[^']*')""")
_PHOTOSHOP, _BLOCK, _IPTC = b"Photoshop 3.0\0", b"8BIM", 0x0404


class _Refused(Exception):
    """The XMP declares a document type, with which it could grow without limit."""


def corrected_xmp(xmp: bytes) -> bytes:
    """XMP without elements and attributes that no longer hold; empty if it is damaged, or larger than a mebibyte."""
    xmp = xmp.rstrip(b"\0")
    if len(xmp) > _LARGEST:
        return b""
    try:
        cuts = _Cuts(xmp).found
    except (xml.parsers.expat.ExpatError, _Refused, ValueError):
        return b""
    parts, at = [], 0
    for start, end in sorted(cuts):
        if start >= at:  # a cut inside another one is part of it
            parts.append(xmp[at:start])
            at = end
    return b"".join((*parts, xmp[at:]))


def corrected_iptc(iptc: bytes) -> bytes:
    """IPTC; of a block of Photoshop, as in JPEG, the IPTC alone, without thumbnails, paths and slices."""
    if not iptc.startswith(_PHOTOSHOP):
        return iptc
    at, kept = len(_PHOTOSHOP), b""
    while iptc[at : at + 4] == _BLOCK and at + 12 <= len(iptc):
        number, name = struct.unpack_from(">HB", iptc, at + 4)
        size_at = at + 6 + (name + 2) // 2 * 2
        if size_at + 4 > len(iptc):
            break
        size = struct.unpack_from(">I", iptc, size_at)[0]
        end = size_at + 4 + (size + 1) // 2 * 2
        if number == _IPTC:
            kept += iptc[at:end].ljust(end - at, b"\0")
        at = end
    return _PHOTOSHOP + kept if kept else b""


class _Cuts:
    """Byte ranges of XMP to leave out, found by a parser that knows namespaces."""

    def __init__(self, xmp: bytes):
        self._xmp = xmp
        self.found: list[tuple[int, int]] = []
        self._open: list[int | None] = []  # start of each open element that is left out
        self._parser = xml.parsers.expat.ParserCreate("UTF-8", " ")
        self._parser.ordered_attributes = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.Parse(xmp, True)

    def _refuse(self, *_: typing.Any) -> None:
        raise _Refused

    def _start(self, name: str, attributes: list[str]) -> None:
        start = self._parser.CurrentByteIndex
        self._open.append(start if _is_gone(name) else None)
        names = attributes[::2]
        if not any(map(_is_gone, names)):
            return
        places = [found for found in _ATTRIBUTE.finditer(self._tag(start)) if not found[1].startswith(b"xmlns")]
        if len(places) != len(names):
            raise ValueError("attributes that cannot be told apart")
        cuts = [found.span() for found, name in zip(places, names) if _is_gone(name)]
        self.found += [(start + first, start + last) for first, last in cuts]

    def _end(self, _: str) -> None:
        start = self._open.pop()
        if start is not None:
            tag, end = self._tag(start), self._parser.CurrentByteIndex
            empty = tag.endswith(b"/>")
            self.found.append((start, start + len(tag) if empty else end + len(self._tag(end))))

    def _tag(self, start: int) -> bytes:
        found = _TAG.match(self._xmp, start)
        if not found:
            raise ValueError("a tag without an end")
        return found[0]


def _is_gone(name: str) -> bool:
    return name in _GONE_NAMES or name.startswith(_GONE)
