"""Conversions of decoded pixels: to sRGB, to plain alpha, to the full range of 16 bits, and upright."""

from __future__ import annotations

import typing

import numpy as np

Vips = typing.Any  # a pyvips.Image; pyvips is imported lazily

# The operation that turns an image upright, for each value of EXIF's orientation.
UPRIGHT: dict[int, typing.Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: np.rot90,
}


def in_srgb(image: Vips, **options: str) -> Vips:
    """Convert an image by the profile in it to sRGB, with the same alpha and depth, and drop the profile.

    Args:
      image: an image of 8 or 16 bits.
      options: of libvips' ``icc_transform``, such as ``input_profile`` for images without one.
    """
    depth = 16 if image.format == "ushort" else 8
    image = image.icc_transform("srgb", embedded=True, intent="relative", depth=depth, **options).copy()
    image.remove("icc-profile-data")
    return image


def unmultiplied(image: Vips, depth: int) -> Vips:
    """Divide the colours by alpha. Where alpha is zero, they are black. ``depth`` is as for ``full_range``."""
    largest = 255 if image.format == "uchar" else 0x10000 - (1 << (16 - depth))
    return image.unpremultiply(max_alpha=largest).rint().cast(image.format)


def full_range(pixels: np.ndarray, depth: int) -> np.ndarray:
    """Scale 16-bit pixels in place to the full range. libvips fills only the upper ``depth`` bits."""
    if depth == 16:
        return pixels
    largest = 0x10000 - (1 << (16 - depth))
    for row in pixels:
        row[:] = (row.astype(np.uint32) * 65535 + largest // 2) // largest
    return pixels
