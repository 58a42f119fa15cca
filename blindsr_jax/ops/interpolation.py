"""Resizing like PyTorch's ``interpolate`` and OpenCV's ``resize``, without antialiasing.

Pipelines of real degradations shrink and enlarge with these functions. ``ops.resize`` has MATLAB's antialiased bicubic.
"""

from __future__ import annotations

import math
import typing

import jax
import numpy as np

from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import check_images
from blindsr_jax.ops.resize import cubic_weight
from blindsr_jax.ops.taps import Taps, along

Interpolation = typing.Literal["area", "bilinear", "bicubic", "box"]


def interpolate(
    x: jax.Array, kind: Interpolation, *, size: tuple[int, int] | None = None, scale: float | None = None
) -> jax.Array:
    """Resize images, with samples at pixel centres (``align_corners=False``) and repeated border pixels.

    Like ``interpolate_bicubic`` and ``imresize``, this multiplies each axis by a constant matrix, rows first.

    Args:
      x: [B, H, W, C], any range; not clipped.
      kind: ``bilinear`` and ``bicubic`` (a = −0.75) weigh the 2 and 4 nearest pixels on each axis, also when shrinking.
        They equal PyTorch's modes of the same names; with ``size`` they equal OpenCV's INTER_LINEAR and INTER_CUBIC.
        ``area`` is PyTorch's mode: the mean of all pixels that an output pixel touches. ``box`` weighs each of these
        pixels by its covered area. It equals OpenCV's INTER_AREA if both axes shrink or both grow.
      size: output height and width.
      scale: output size over input size, instead of ``size``. The output size is rounded down. ``bilinear`` and
        ``bicubic`` still step by exactly 1/scale, as PyTorch does for a ``scale_factor``.

    Returns:
      [B, *size, C].

    Raises:
      InputError: both or neither of size and scale are given, the result would have no pixels, or the kind is unknown.
    """
    if kind not in typing.get_args(Interpolation):
        raise InputError(f"kind must be one of {typing.get_args(Interpolation)}, got {kind!r}")
    lengths = check_images("x", x).shape[1:3]
    out_lengths = _out_lengths(lengths, size, scale)
    if min(out_lengths) < 1:
        wanted = f"{out_lengths[0]}x{out_lengths[1]}"
        raise InputError(f"images of {lengths[0]}x{lengths[1]} pixels cannot be resized to {wanted}")
    rows, columns = (_taps(kind, length, out, scale) for length, out in zip(lengths, out_lengths))
    return along(along(x, rows, 1), columns, 2)


def _out_lengths(lengths: tuple[int, ...], size: tuple[int, int] | None, scale: float | None) -> tuple[int, ...]:
    if size is not None and scale is None:
        return size
    if scale is not None and size is None:
        return tuple(math.floor(length * scale) for length in lengths)
    raise InputError(f"give either size or scale, got size={size} and scale={scale}")


def _taps(kind: Interpolation, length: int, out_length: int, scale: float | None) -> Taps:
    out = np.arange(out_length)
    if kind in ("area", "box"):
        return _covered(out * length / out_length, (out + 1) * length / out_length, length, whole=kind == "area")
    by_size = ((2 * out + 1) * length - out_length) / (2 * out_length)  # exact if the position is a whole number
    place = by_size if scale is None else (out + 0.5) / scale - 0.5
    before = np.floor(place)[:, None]
    index = before + (np.arange(2) if kind == "bilinear" else np.arange(-1, 3))
    distance = place[:, None] - index
    weight = 1 - abs(distance) if kind == "bilinear" else cubic_weight(distance, a=-0.75)
    return Taps(np.clip(index, 0, length - 1).astype(int), weight)


def _covered(start: np.ndarray, end: np.ndarray, length: int, *, whole: bool) -> Taps:
    """Return taps for means over the intervals [start, end]; ``whole`` counts partly covered pixels fully."""
    if whole:
        start, end = np.floor(start), np.ceil(end)
    first = np.floor(start)
    index = first[:, None] + np.arange(int((np.ceil(end) - first).max()))
    cover = np.minimum(end[:, None], index + 1) - np.maximum(start[:, None], index)
    weight = np.maximum(cover, 0) / (end - start)[:, None]
    return Taps(np.minimum(index, length - 1).astype(int), weight)
