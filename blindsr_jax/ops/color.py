"""Luma, the channel on which super-resolution tables are measured."""

from __future__ import annotations

import typing

from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import check_floating

Array = typing.TypeVar("Array", bound=typing.Any)


def rgb_to_y(x: Array) -> Array:
    """Studio-range luma of ITU-R BT.601, as MATLAB's ``rgb2ycbcr`` defines it; not rounded.

    Formula: Y = 65.481 R + 128.553 G + 24.966 B + 16.

    It accepts JAX and NumPy arrays and keeps their floating type, so the metrics use it in float64.

    Args:
      x: [..., 3], RGB in [0, 1].

    Returns:
      [..., 1], Y in [16, 235].

    Raises:
      InputError: the last axis does not hold three channels, or the numbers are not finite floating-point ones.

    >>> import numpy as np
    >>> float(rgb_to_y(np.ones((1, 3)))[0, 0])
    235.0
    """
    if x.shape[-1] != 3:
        raise InputError(f"rgb_to_y needs three channels on the last axis, got shape {x.shape}")
    check_floating("x", x)
    r, g, b = x[..., 0:1], x[..., 1:2], x[..., 2:3]
    return 65.481 * r + 128.553 * g + 24.966 * b + 16.0
