"""Headers of image files: what libvips does not tell about a file, and why it could not decode one."""

from __future__ import annotations

import dataclasses
import struct
import typing

from blindsr_jax.errors import DataError
from blindsr_jax.images.colour_profiles import Colours
from blindsr_jax.images.colour_tags import coded_colours, png_colours
from blindsr_jax.images.frames import avif_frames, png_frames
from blindsr_jax.images.heif_items import main_item
from blindsr_jax.images.least_bytes import least_of_jpeg, least_of_png, least_of_tiff
from blindsr_jax.images.tiff_tags import check_tiff, read_tags, unread_tiff

_MARKERS = 1000  # most JPEG segments to search for the frame header
_HUFFMAN, _ARITHMETIC = (0xC0, 0xC1, 0xC2), (0xC9, 0xCA)  # markers of the frame headers of usual JPEGs
_PROCESSES = {0xC3: "lossless JPEG", 0xCB: "lossless JPEG", 0xF7: "JPEG-LS"} | dict.fromkeys(
    (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical JPEG"
)


@dataclasses.dataclass(frozen=True)
class Header:
    """The content of a file's header.

    Attributes:
      frames: number of frames of an animation.
      colours: the colours of its numbers, if they are told otherwise than by an ICC profile.
      replaces_profile: whether ``colours`` has precedence over an ICC profile in the file.
      premultiplied: whether colours are multiplied by alpha, which libvips does not undo.
      unread: what the file is, if libvips is often built without its decoder; else empty.
      least_bytes: the fewest bytes that a file of its size in pixels has.
    """

    frames: int = 1
    colours: Colours | None = None
    replaces_profile: bool = False
    premultiplied: bool = False
    unread: str = ""
    least_bytes: int = 0


def read_header(file: typing.BinaryIO, kind: str, name: str, page: int) -> Header:
    """Read the header of a file from its start.

    Args:
      file: the file; it is left at some other position.
      kind: as ``kinds.kind_of`` returns it.
      name: its name in messages.
      page: the page that will be decoded, from 1.

    Raises:
      DataError: libvips would decode wrong pixels, or colours that no profile can keep.
    """
    if kind == "png":
        colours, replaces = png_colours(file, name)
        return Header(png_frames(file), colours, replaces, least_bytes=least_of_png(file))
    if kind in ("heif", "heic"):
        item = main_item(file)
        colours = coded_colours(name, *item.nclx[:2]) if item.nclx else None
        unread = "HEIC" if kind == "heic" else ""
        return Header(avif_frames(file), colours, premultiplied=item.premultiplied, unread=unread)
    if kind == "tiff":
        file.seek(0)
        head, tags = file.read(16), read_tags(file, page)
        check_tiff(name, tags, head)
        return Header(unread=unread_tiff(tags), least_bytes=least_of_tiff(tags))
    return _jpeg_header(file) if kind == "jpeg" else Header()


def bmp_profile(data: bytes) -> bytes | None:
    """The ICC profile inside a BMP with a header of version 5 (BITMAPV5HEADER), or None."""
    if len(data) < 138 or struct.unpack_from("<I", data, 14)[0] < 124 or data[70:74] != b"DEBM":
        return None
    start, size = struct.unpack_from("<II", data, 126)
    profile = data[14 + start : 14 + start + size]
    return profile if profile[36:40] == b"acsp" else None


def not_read(name: str, what: str) -> DataError:
    """The error for a known kind of file that is not read."""
    return DataError(f"{name}: {what} is not read here; convert it to PNG, JPEG or plain TIFF first")


def _jpeg_header(file: typing.BinaryIO) -> Header:
    """Read the frame header of a JPEG; it tells whether it is a usual one of 8 bits."""
    file.seek(2)
    for _ in range(_MARKERS):
        head = file.read(5)
        if len(head) < 5 or head[0] != 0xFF:
            return Header()
        marker, length, precision = head[1], struct.unpack_from(">H", head, 2)[0], head[4]
        if marker in _PROCESSES:
            return Header(unread=_PROCESSES[marker])
        if marker in (*_HUFFMAN, *_ARITHMETIC):
            size = file.read(4)
            least = least_of_jpeg(*struct.unpack(">HH", size)) if marker in _HUFFMAN and len(size) == 4 else 0
            return Header(unread="" if precision == 8 else f"JPEG of {precision} bits", least_bytes=least)
        if marker == 0xFF:  # padding
            file.seek(-4, 1)
            continue
        file.seek(length - 3, 1)
    return Header()
