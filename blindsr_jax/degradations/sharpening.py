"""Sharpening, as in cameras, phones and editors."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import check_images, check_range
from blindsr_jax.ops.taps import Taps, along


def unsharp_mask(
    x: jax.Array, amount: jax.Array | float = 0.5, *, radius: float = 8.0, threshold: float = 10.0
) -> jax.Array:
    """Sharpen by unsharp masking, as Real-ESRGAN sharpens its HR images.

    It adds the difference from a Gaussian blur, where that difference is large. Formula: x + m · (clip(x + amount ·
    (x − g∗x)) − x), with g the Gaussian and m = g ∗ [255·|x − g∗x| > threshold], for each channel separately. Borders
    are reflected without repeating the border pixel.

    Args:
      x: [B, H, W, C] in [0, 1].
      amount: weight of the difference, a scalar or [B]; may be traced. Zero leaves an image unchanged.
      radius: standard deviation of the Gaussian in pixels, which is cut off at 3.125 times as much; static.
      threshold: smallest difference to sharpen, on the 0–255 scale; static. A negative threshold sharpens everything.

    Returns:
      [B, H, W, C] in [0, 1].

    Raises:
      InputError: the radius is not positive.
    """
    if not radius > 0:
        raise InputError(f"the radius of the unsharp mask must be positive, got {radius}")
    check_images("x", x)
    check_range("amount", amount, 0)
    difference = x - _gaussian_blur(x, radius)
    mask = _gaussian_blur((255 * jnp.abs(difference) > threshold).astype(x.dtype), radius)
    amount = jnp.broadcast_to(jnp.asarray(amount, x.dtype), x.shape[:1])[:, None, None, None]
    return x + mask * (jnp.clip(x + amount * difference, 0, 1) - x)


def _gaussian_blur(x: jax.Array, sigma: float) -> jax.Array:
    """Blur by a matrix product for each axis. Unlike the sum in ``ops.blur``, its time does not grow with the width."""
    reach = math.ceil(3.125 * sigma)  # 25 pixels for Real-ESRGAN's width of 8
    offset = np.arange(-reach, reach + 1)
    weight = np.exp(-0.5 * np.square(offset / sigma))
    weight /= weight.sum()
    for axis in (1, 2):
        index = (np.arange(x.shape[axis])[:, None] + offset) % max(2 * x.shape[axis] - 2, 1)
        index = np.minimum(index, 2 * x.shape[axis] - 2 - index)
        x = along(x, Taps(index, np.broadcast_to(weight, index.shape)), axis)
    return x
