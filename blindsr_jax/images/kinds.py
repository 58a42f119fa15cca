"""Kinds of image files, told by their first bytes: those that are read, and well-known ones that are not."""

from __future__ import annotations

KINDS = "PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF"

_STARTS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",  # BigTIFF
    b"MM\0+": "tiff",
}
_UNREAD = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"8BPS": "Photoshop (PSD)",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"#?RGBE": "Radiance HDR",
    b"FUJIFILMCCD-RAW": "camera raw",
    b"IIRO": "camera raw",
    b"IIRS": "camera raw",
    b"IIU\0": "camera raw",
    b"II\xbc\x01": "JPEG XR",
    b"gimp xcf": "GIMP (XCF)",
    b"SIMPLE  =": "FITS",
}
_AVIF, _HEVC = (b"avif", b"avis"), (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def kind_of(head: bytes) -> str | None:
    """The kind of a file that begins with ``head``, 64 bytes or all of it.

    Returns:
      The libvips loader, ``bmp``, or ``heic`` for a HEIF file that is no AVIF; None for every other file.
    """
    for start, kind in _STARTS.items():
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] != b"ftyp":
        return None
    end = max(int.from_bytes(head[:4]), 16)
    brands = [head[i : i + 4] for i in range(8, min(end, len(head)), 4)]
    if any(brand in brands for brand in _AVIF):
        return "heif"
    return "heic" if any(brand in brands for brand in _HEVC) else None


def unread_kind(head: bytes) -> str | None:
    """The name of a well-known kind of picture that is not read, for a file that begins with ``head``; or None."""
    if head[4:12] == b"ftypcrx ":
        return "camera raw"
    return next((name for start, name in _UNREAD.items() if head.startswith(start)), None)
