"""Resizing of images whose height and width are symbols, as in a program that is exported for all sizes.

The matrices of ``ops.resize`` need numbers. An enlargement by a whole number weighs the same few neighbours at every
pixel, so it is one convolution to the s² values of each pixel's block.
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.ops.pixel import pixel_shuffle
from blindsr_jax.ops.taps import Taps

_REACH = 2  # pixels on each side that a cubic kernel weighs


def is_symbolic(*sides: typing.Any) -> bool:
    """Whether any of these sizes is a symbol of ``jax.export``."""
    return any(not isinstance(side, int | np.integer) for side in sides)


def enlarge_by_phases(x: jax.Array, taps: Taps, border: typing.Literal["mirror", "replicate"]) -> jax.Array:
    """Enlarge images with the same weights at every pixel.

    Args:
      x: [B, H, W, C]; H and W may be symbols, of at least 2.
      taps: for each of the s outputs of a pixel along an axis, its inputs by distance from that pixel, and their
        weights.
      border: mirror pixels beyond the border, repeating the border pixel, or repeat the border pixel alone.

    Returns:
      [B, s·H, s·W, C].
    """
    scale, channels = len(taps.index), x.shape[-1]
    weights = np.zeros((scale, 2 * _REACH + 1))
    rows, used = np.nonzero(taps.weight)
    np.add.at(weights, (rows, taps.index[rows, used] + _REACH), taps.weight[rows, used])
    kernel = np.einsum("iy,jx,cd->yxcdij", weights, weights, np.eye(channels))
    kernel = kernel.reshape(*kernel.shape[:3], channels * scale**2)
    for axis in (1, 2):
        x = _with_border(x, axis, border)
    blocks = jax.lax.conv_general_dilated(
        x,
        jnp.asarray(kernel, x.dtype),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,
    )
    return pixel_shuffle(blocks, scale)


def _with_border(x: jax.Array, axis: int, border: str) -> jax.Array:
    """Add ``_REACH`` pixels before and after."""
    length = x.shape[axis]
    places = range(_REACH) if border == "mirror" else [0] * _REACH
    before = [jax.lax.slice_in_dim(x, i, i + 1, axis=axis) for i in reversed(places)]
    after = [jax.lax.slice_in_dim(x, length - 1 - i, length - i, axis=axis) for i in places]
    return jnp.concatenate([*before, x, *after], axis=axis)
