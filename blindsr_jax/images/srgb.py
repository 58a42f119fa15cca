"""Pixels with a colour profile as pixels in sRGB, for a display or a file that holds no profile."""

from __future__ import annotations

import numpy as np

from blindsr_jax.images.conversions import in_srgb
from blindsr_jax.images.libvips import libvips, pixels_of


def srgb_of(rgb: np.ndarray, profile: bytes | None, *, grey: bool = False) -> np.ndarray:
    """Convert pixels by a profile to sRGB.

    Args:
      rgb: uint8 [H, W, 3].
      profile: an ICC profile. One that is damaged, or of other channels than the picture's, is left out, as
        ``Metadata.added_to`` leaves it out.
      grey: whether the picture is grey, with three equal channels here.

    Returns:
      uint8 [H, W, 3].
    """
    if not profile or profile[16:20] != (b"GRAY" if grey else b"RGB "):
        return rgb
    vips = libvips()
    pixels, kind = (rgb[..., :1], "b-w") if grey else (rgb, "srgb")
    image = vips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation=kind)
    image.set_type(vips.GValue.blob_type, "icc-profile-data", profile)
    try:
        return pixels_of(in_srgb(image))
    except vips.Error:
        return rgb
