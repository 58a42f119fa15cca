"""Resizing: MATLAB-compatible bicubic, PyTorch's bicubic, and the s-fold sampler."""

from __future__ import annotations

import functools
import math
import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import check_images
from blindsr_jax.ops.symbolic import enlarge_by_phases, is_symbolic
from blindsr_jax.ops.taps import Taps, along, constant_matrix

ValidSize = tuple[jax.Array | int, jax.Array | int]  # height and width inside padded images, known at run time
Border = typing.Literal["mirror", "replicate", "renormalise"]


def imresize(x: jax.Array, scale: float, *, valid_size: ValidSize | None = None) -> jax.Array:
    """Resize like MATLAB's ``imresize(x, scale)`` in floating point: bicubic (a = −0.5), antialiased when shrinking.

    Borders are mirrored. The tables of DAN and DSSR use this downsampling. The map is linear and separable: each axis
    is multiplied by a constant matrix (``resize_matrix``), rows first. For long axes see ``taps.along``.

    Args:
      x: [B, H, W, C], any range; not clipped, not rounded.
      scale: output size over input size, such as 0.25 or 4; any positive number.
      valid_size: height and width of the images if x pads them with zeros at the bottom and on the right; only for
        whole scales. The results are padded in the same way.

    Returns:
      [B, ⌈H·scale⌉, ⌈W·scale⌉, C].

    Raises:
      InputError: the scale is not positive.
    """
    if not scale > 0:
        raise InputError(f"scale must be positive, got {scale}")
    check_images("x", x)
    if is_symbolic(*x.shape[1:3]) and scale == int(scale):
        return enlarge_by_phases(x, _unbounded_taps(1, scale), "mirror")
    rows, columns = (_resize_taps(*lengths, scale) for lengths in zip(x.shape[1:3], _lengths(x, valid_size)))
    return along(along(x, rows, 1), columns, 2)


def imresize_rows(x: np.ndarray, scale: int, first: int, last: int) -> np.ndarray:
    """Compute the rows [first, last) of ``imresize(x, scale)`` without computing the whole image.

    Args:
      x: [H, W, C], NumPy, any type.
      scale: a whole number.

    Returns:
      float32 [last − first, W·scale, C], NumPy. A row has the same bits for every choice of ``first`` and ``last``.
    """
    rows, columns = (_resize_taps(length, length, scale) for length in x.shape[:2])
    index, weight = rows.index[first:last], rows.weight[first:last]
    part = np.asarray(x[index.min() : index.max() + 1], np.float32)[None]
    return along(along(part, Taps(index - index.min(), weight), 1), columns, 2)[0]


def s_fold_down(x: jax.Array, s: int) -> jax.Array:
    """Keep the upper-left pixel of each s×s block (the ↓s of DAN eq. 1, USRNet and KernelNet).

    Args:
      x: [B, H, W, C].
      s: scale factor.

    Returns:
      [B, ⌈H/s⌉, ⌈W/s⌉, C].
    """
    if x.ndim != 4:
        raise InputError(f"x must be [B, H, W, C], got shape {x.shape}")
    return x[:, ::s, ::s, :]


def s_fold_up(x: jax.Array, s: int) -> jax.Array:
    """Put each pixel in the upper left of an s×s block of zeros: the adjoint of ``s_fold_down`` on multiples of s.

    Args:
      x: [B, H, W, C].
      s: scale factor.

    Returns:
      [B, H·s, W·s, C].
    """
    batch, height, width, channels = check_images("x", x).shape
    return jnp.zeros((batch, height * s, width * s, channels), x.dtype).at[:, ::s, ::s, :].set(x)


def upsample_nearest(x: jax.Array, s: int) -> jax.Array:
    """Repeat each pixel as an s×s block.

    Args:
      x: [B, H, W, C].
      s: scale factor.

    Returns:
      [B, H·s, W·s, C].
    """
    return jnp.repeat(jnp.repeat(x, s, axis=1), s, axis=2)


def move_to_upper_left(x: jax.Array, s: int) -> jax.Array:
    """Shift an enlarged image up and left by (s − 1)/2 pixels, bilinearly, repeating the border pixels.

    Interpolation by s puts an LR pixel in the centre of its s×s block. ``s_fold_down`` takes it from the upper left
    corner. This shift converts the first convention to the second (DPIR's ``shift_pixel``).

    Args:
      x: [B, H·s, W·s, C].
      s: scale factor.

    Returns:
      The same shape.
    """
    check_images("x", x)
    for axis in (1, 2):
        length = x.shape[axis]
        place = np.minimum(np.arange(length) + (s - 1) / 2, length - 1)
        lower, upper = np.floor(place).astype(int), np.ceil(place).astype(int)
        x = (jnp.take(x, lower, axis=axis) + jnp.take(x, upper, axis=axis)) / 2  # a shift by whole or half pixels
    return x


def imresize_8bit(image: np.ndarray, scale: float) -> np.ndarray:
    """Resize a uint8 image like MATLAB's ``imresize``: round to 8 bits after each axis and repeat border pixels.

    The result equals files written by MATLAB on every pixel. The tables of DAN and DSSR use ``imresize`` above, which
    mirrors the border and does not round between the axes.

    Args:
      image: uint8 [H, W] or [H, W, C].
      scale: output size over input size.

    Returns:
      uint8 [⌈H·scale⌉, ⌈W·scale⌉(, C)], NumPy.

    Raises:
      InputError: the image is not uint8, or the scale is not positive.
    """
    if image.dtype != np.uint8 or not scale > 0:
        raise InputError(f"imresize_8bit needs a uint8 image and a positive scale, got {image.dtype} and {scale}")
    for axis in (0, 1):  # rows first, as in MATLAB; the order matters because each pass is rounded
        matrix = resize_matrix(image.shape[axis], scale, border="replicate")
        resized = np.moveaxis(np.tensordot(matrix, image.astype(np.float64), (1, axis)), 0, axis)
        image = np.floor(np.clip(resized, 0, 255) + 0.5).astype(np.uint8)
    return image


@functools.lru_cache(maxsize=16)  # small, because large images have large matrices
def resize_matrix(length: int, scale: float, border: Border = "mirror", offset: float | None = None) -> np.ndarray:
    """Return the matrix of one axis of ``imresize``.

    Output pixel o lies at input coordinate u = (o + ½)/scale − ½. It weighs input pixel i by h(u − i), where h is the
    cubic kernel, stretched by 1/scale when shrinking. Each row is normalised to sum to one.

    Args:
      length: input size in pixels.
      scale, border, offset: see ``resize_taps``.

    Returns:
      float64 [⌈length·scale⌉, length]; read-only because it is cached.
    """
    dense = constant_matrix(resize_taps(length, scale, border, offset), length)
    dense.setflags(write=False)
    return dense


def resize_taps(length: int, scale: float, border: Border = "mirror", offset: float | None = None) -> Taps:
    """Return the taps of one axis of ``imresize``.

    Args:
      length: input size in pixels.
      scale: output size over input size.
      border: mirror indices beyond the border (repeating the border pixel); or clamp them to it; or mirror them at the
        end alone, and leave those before the first pixel out of the weighted mean, as KernelGAN and ZSSR do.
      offset: output pixels from the first output pixel to the centre of the first input pixel; by default the outer
        edges are aligned, which is (scale − 1)/2.
    """
    index, weight = _unbounded_taps(length, scale, offset)
    if border == "replicate":
        return Taps(np.clip(index, 0, length - 1), weight)
    if border == "renormalise":
        weight = np.where(index < 0, 0, weight)
        weight = weight / weight.sum(axis=1, keepdims=True)
    return Taps(_mirrored(index, length), weight)


def _lengths(x: jax.Array, valid_size: ValidSize | None) -> tuple[int | jax.Array, int | jax.Array]:
    """Return height and width of the images in x: integers, or arrays if images are padded or sides are symbols."""
    height, width = x.shape[1:3] if valid_size is None else valid_size
    if valid_size is None and not is_symbolic(height, width):
        return height, width
    return jnp.asarray(height, jnp.int32), jnp.asarray(width, jnp.int32)


def _resize_taps(whole: int, length: int | jax.Array, scale: float) -> Taps:
    """Return the taps of ``imresize`` for the first ``length`` of ``whole`` pixels; later outputs are zero."""
    index, weight = _unbounded_taps(whole, scale)
    return _within(_mirrored(index, length), weight, length, length * scale)


def _unbounded_taps(length: int, scale: float, offset: float | None = None) -> Taps:
    """Return the taps of ``imresize`` with indices that may lie beyond the borders."""
    out_length = math.ceil(length * scale - 1e-9)  # rounding of scales such as 1/3 must not add a pixel
    stretch = min(scale, 1.0)
    centre = (np.arange(out_length) + 0.5) / scale - 0.5
    if offset is not None:
        centre = (np.arange(out_length) - offset) / scale
    taps = math.ceil(4 / stretch) + 2
    index = np.floor(centre - 2 / stretch).astype(np.int64)[:, None] + np.arange(taps)
    weight = cubic_weight((centre[:, None] - index) * stretch)
    return Taps(index, weight / weight.sum(axis=1, keepdims=True))


def _mirrored(index: np.ndarray, length: int | jax.Array) -> np.ndarray | jax.Array:
    """Mirror indices that lie beyond the borders, repeating the border pixels."""
    index = index % (2 * length)
    return (jnp if isinstance(index, jax.Array) else np).minimum(index, 2 * length - 1 - index)


def _within(index: typing.Any, weight: typing.Any, length: int | jax.Array, out_length: float | jax.Array) -> Taps:
    """Return taps that give zero from output ``out_length`` on if the length is known only at run time."""
    if not isinstance(length, jax.Array):
        return Taps(index, weight)
    rows = jnp.arange(index.shape[0])[:, None]
    return Taps(index, jnp.where(rows < out_length, jnp.asarray(weight, jnp.float32), 0))


def interpolate_bicubic(
    x: jax.Array, size: tuple[int, int], *, align_corners: bool, valid_size: ValidSize | None = None
) -> jax.Array:
    """Resize like PyTorch's ``interpolate(mode="bicubic")``: a = −0.75, no antialiasing, repeated border pixels.

    Networks that were trained with it (DSSR) and DPIR's initial image use it. Make and score data with ``imresize``.

    Args:
      x: [B, H, W, C].
      size: output height and width.
      align_corners: align the centres of the corner pixels instead of their outer edges.
      valid_size: see ``imresize``. The valid size of the result has the same proportion to ``size``.

    Returns:
      [B, *size, C].
    """
    check_images("x", x)
    if is_symbolic(*x.shape[1:3]) and not align_corners:  # an enlargement by a whole number, the same for both axes
        index, fraction = _source(np.arange(size[0] // x.shape[1]), 1, size[0] // x.shape[1], align_corners)
        taps = Taps(index[:, None] + _NEIGHBOURS, cubic_weight(fraction[:, None] - _NEIGHBOURS, a=-0.75))
        return enlarge_by_phases(x, taps, "replicate")
    lengths = zip(x.shape[1:3], size, _lengths(x, valid_size))
    rows, columns = (_interpolation_taps(*three, align_corners) for three in lengths)
    return along(along(x, rows, 1), columns, 2)


def _interpolation_taps(whole: int, out_whole: int, length: int | jax.Array, align_corners: bool) -> Taps:
    """Return taps of ``interpolate_bicubic`` for the first ``length`` of ``whole`` pixels; later outputs are zero."""
    library = jnp if isinstance(length, jax.Array) else np
    out_length = length * out_whole // whole
    index, fraction = _source(library.arange(out_whole), length, out_length, align_corners)
    index = library.clip(index[:, None] + _NEIGHBOURS, 0, length - 1)
    return _within(index, cubic_weight(fraction[:, None] - _NEIGHBOURS, a=-0.75), length, out_length)


_NEIGHBOURS = np.arange(-1, 3)[None]


def _source(out: typing.Any, length: typing.Any, out_length: typing.Any, align_corners: bool) -> tuple[typing.Any, ...]:
    """Return the input pixel before each output position, and its distance; computed in integers to be exact."""
    if align_corners:
        above, below = out * (length - 1), out_length - 1 + (out_length == 1)
    else:
        above, below = (2 * out + 1) * length - out_length, 2 * out_length
    index = above // below
    return index, (above - index * below) / below


def cubic_weight(t: typing.Any, a: float = -0.5) -> typing.Any:
    """Keys' cubic convolution kernel (IEEE TASSP 1981) at distances t; third order for a = −0.5, the default."""
    t = abs(t)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * (t**3 - 5 * t**2 + 8 * t - 4)
    return (t <= 1) * near + ((t > 1) & (t < 2)) * far
