"""The fewest bytes that a file of some size in pixels can have.

A header of a few bytes can claim millions of pixels, for which a decoder takes memory and time before it finds that
they are not there.
"""

from __future__ import annotations

import struct
import typing

from blindsr_jax.images.tiff_tags import SIZES, Tags

_DEFLATE = 1032  # bytes of a run that deflate packs into one
_LZW = 1400  # the same of LZW: a table's 3838 runs of up to 3839 bytes, in codes of 9 to 12 bits
_PACK_BITS = 64
_RATIOS = {1: 1, 5: _LZW, 8: _DEFLATE, 32773: _PACK_BITS, 32946: _DEFLATE}  # by TIFF's compression
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by PNG's colour type
_BLOCK = 64  # pixels of a JPEG's block, which takes at least one bit of a Huffman code


def least_of_png(file: typing.BinaryIO) -> int:
    """The fewest bytes of a PNG, by its first chunk."""
    file.seek(16)
    header = file.read(10)
    if len(header) < 10:
        return 0
    width, height, depth, kind = struct.unpack(">IIBB", header)
    return width * height * depth * _CHANNELS.get(kind, 0) // 8 // _DEFLATE


def least_of_tiff(tags: Tags) -> int:
    """The fewest bytes of a page of a TIFF, by its tags; 0 for compressions of bilevel and photographic pictures."""
    width, height, bits, compression, samples = (tags.get(tag, (1,))[0] for tag in SIZES)
    ratio = _RATIOS.get(compression)
    return width * height * bits * samples // 8 // ratio if ratio else 0


def least_of_jpeg(width: int, height: int) -> int:
    """The fewest bytes of a JPEG of Huffman codes."""
    return width * height // _BLOCK // 8
