"""Pixel shuffle, and rounding to the 8-bit levels of image files."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import check_floating


def pixel_shuffle(x: jax.Array, r: int) -> jax.Array:
    """Move channels into space in PyTorch's channel order (Shi et al., ESPCN, CVPR 2016).

    Channel ``c·r² + i·r + j`` of pixel (h, w) becomes channel ``c`` of pixel (h·r + i, w·r + j).

    Args:
      x: [B, H, W, C·r²].
      r: upscaling factor.

    Returns:
      [B, H·r, W·r, C].

    Raises:
      InputError: the number of channels is not a multiple of r².

    >>> pixel_shuffle(jnp.arange(4.0).reshape(1, 1, 1, 4), 2)[0, :, :, 0].tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    if x.ndim != 4:
        raise InputError(f"x must be [B, H, W, C], got shape {x.shape}")
    batch, height, width, channels = x.shape
    if channels % (r * r):
        raise InputError(f"pixel_shuffle by {r} needs a multiple of {r * r} channels, got {channels}")
    x = x.reshape(batch, height, width, channels // (r * r), r, r)
    x = x.transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(batch, height * r, width * r, channels // (r * r))


def round_to_8bit(x: jax.Array) -> jax.Array:
    """Clip to [0, 1] and round to the nearest of the 256 levels of an 8-bit file.

    Args:
      x: any shape, nominal range [0, 1].

    Returns:
      The same shape, multiples of 1/255 in [0, 1]. Its gradient is zero, as for any rounding.
    """
    return jnp.round(jnp.clip(check_floating("x", x), 0.0, 1.0) * 255.0) / 255.0
