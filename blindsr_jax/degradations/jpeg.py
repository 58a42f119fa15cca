"""JPEG inside jit, equal to libjpeg-turbo to the last bit, in integer arithmetic.

Entropy coding loses nothing, so it is left out. Blocks are never gathered: an image of [H, W] pixels is seen as
[H/8, 8, W/8, 8], and each pass of the DCT contracts one of the axes of length 8.

Sources: ITU-T T.81 for the format and its Annex K for the tables; JFIF 1.02 for the colours; for the DCT ("islow" in
libjpeg) Loeffler, Ligtenberg and Moschytz, "Practical fast 1-D DCT algorithms with 11 multiplications", ICASSP 1989.
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import check_images

Subsampling = typing.Literal["420", "444"]

# [vertical frequency, horizontal frequency]
_LUMA_TABLE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.int32,
)
_CHROMA_TABLE = np.full((8, 8), 99, np.int32)
_CHROMA_TABLE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

# [frequency, position]: the orthonormal DCT times sqrt(8), with 13 fractional bits. An entry sums the rounded constants
# on its path through the fast algorithm, so some differ from the rounded cosine by one.
_DCT = np.array(
    [
        [8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192],
        [11363, 9633, 6437, 2260, -2260, -6437, -9633, -11363],
        [10703, 4433, -4433, -10703, -10703, -4433, 4433, 10703],
        [9633, -2259, -11362, -6436, 6436, 11362, 2259, -9633],
        [8192, -8192, -8192, 8192, 8192, -8192, -8192, 8192],
        [6437, -11362, 2261, 9633, -9633, -2261, 11362, -6437],
        [4433, -10704, 10704, -4433, -4433, 10704, -10704, 4433],
        [2260, -6436, 9633, -11363, 11363, -9633, 6436, -2260],
    ],
    np.int32,
)


def jpeg(x: jax.Array, quality: jax.Array | int, subsampling: Subsampling = "420") -> jax.Array:
    """Compress images by JPEG and decompress them; the pixels are those of libjpeg-turbo, Pillow and OpenCV.

    The encoder uses the baseline tables of ``quality``, and the decoder upsamples chroma smoothly ("fancy"). Both use
    the accurate integer DCT ("islow"). These are the library's defaults. The gradient is zero, as the rounding's is.

    Args:
      x: [B, H, W, 3], floating point, RGB in [0, 1], of any size. It is clipped and rounded to 8 bits first.
      quality: integer from 1 to 100, or integers [B], one for each image. It may be traced; then it is clipped to
        that range.
      subsampling: "420" halves the chroma's height and width, as Pillow and OpenCV do by default; "444" keeps them.

    Returns:
      float32 [B, H, W, 3], multiples of 1/255 in [0, 1].

    Raises:
      InputError: ``x`` is not a batch of RGB images in floating point; ``quality`` is not an integer, not from 1 to
        100, or not one for each image; ``subsampling`` is unknown.
    """
    check_images("x", x, channels=3)
    if subsampling not in ("420", "444"):
        raise InputError(f"subsampling must be '420' or '444', got {subsampling!r}")
    batch, height, width, _ = x.shape
    quality = _checked_quality(quality, batch)
    luma, *chroma = _to_ycbcr(jnp.round(jnp.clip(x, 0, 1) * 255).astype(jnp.int32))
    luma = _compress(luma, _quantisation(_LUMA_TABLE, quality))
    table = _quantisation(_CHROMA_TABLE, quality)
    if subsampling == "444":
        chroma = [_compress(plane, table) for plane in chroma]
    else:
        chroma = [_upsample(_compress(_downsample(plane), table), height, width) for plane in chroma]
    return _to_rgb(luma, *chroma).astype(jnp.float32) / 255


def _checked_quality(quality: jax.Array | int, batch: int) -> jax.Array:
    """int32 [B], from 1 to 100."""
    levels: typing.Any = quality if isinstance(quality, jax.core.Tracer) else np.asarray(quality)
    if not jnp.issubdtype(levels.dtype, jnp.integer):
        raise InputError(f"quality must be an integer from 1 to 100, or one for each image, got {levels.dtype}")
    if levels.shape not in ((), (batch,)):
        raise InputError(f"quality must be one integer or one for each of {batch} images, got shape {levels.shape}")
    if isinstance(levels, np.ndarray) and ((levels < 1) | (levels > 100)).any():
        raise InputError(f"quality must be an integer from 1 to 100, got {levels}")
    return jnp.broadcast_to(jnp.clip(levels, 1, 100).astype(jnp.int32), (batch,))


def _quantisation(base: np.ndarray, quality: jax.Array) -> jax.Array:
    """A table for each image, [B, 8, 8]: the base table at quality 50, coarser below and finer above."""
    percent = jnp.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return jnp.clip((base[None] * percent[:, None, None] + 50) // 100, 1, 255)


def _to_ycbcr(rgb: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Y, Cb, Cr, each [B, H, W] in 0..255, by 16-bit fixed point."""
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    half, middle = 1 << 15, 128 << 16
    y = (19595 * r + 38470 * g + 7471 * b + half) >> 16
    cb = (-11059 * r - 21709 * g + 32768 * b + middle + half - 1) >> 16
    cr = (32768 * r - 27439 * g - 5329 * b + middle + half - 1) >> 16
    return y, cb, cr


def _to_rgb(y: jax.Array, cb: jax.Array, cr: jax.Array) -> jax.Array:
    """[B, H, W, 3] in 0..255, by 16-bit fixed point."""
    of_cb = np.array([0, -22554, 116130], np.int32).reshape(1, 1, 1, 3)
    of_cr = np.array([91881, -46802, 0], np.int32).reshape(1, 1, 1, 3)
    colour = (cb[..., None] - 128) * of_cb + (cr[..., None] - 128) * of_cr
    return jnp.clip(y[..., None] + _rounded_shift(colour, 16), 0, 255)


def _downsample(plane: jax.Array) -> jax.Array:
    """Means of 2x2 pixels, [B, ⌈H/2⌉, 8·⌈W/16⌉]; halves are rounded down in even columns and up in odd ones.

    The encoder repeats the last column up to a whole block before it averages.
    """
    _, height, width = plane.shape
    plane = jnp.pad(plane, ((0, 0), (0, height % 2), (0, -width % 16)), mode="edge")
    total = plane[:, ::2, ::2] + plane[:, 1::2, ::2] + plane[:, ::2, 1::2] + plane[:, 1::2, 1::2]
    bias = 1 + np.arange(total.shape[2], dtype=np.int32) % 2
    return (total + bias.reshape(1, 1, -1)) >> 2


def _upsample(plane: jax.Array, height: int, width: int) -> jax.Array:
    """Upsample to [B, height, width] by linear interpolation in both directions; up to 4 columns are repeated."""
    plane = plane[:, : -(-height // 2), : -(-width // 2)]
    if width <= 4:
        return plane.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    wide = _doubled(_doubled(plane, 1, (0, 0)), 2, (8, 7)) >> 4
    return wide[:, :height, :width]


def _doubled(plane: jax.Array, axis: int, bias: tuple[int, int]) -> jax.Array:
    """Twice as long on an axis, four times the value: 3 of the pixel, 1 of its neighbour on that side, and the bias."""
    margins = [(int(axis == i), int(axis == i)) for i in range(3)]
    around = jnp.pad(plane, margins, mode="edge")
    before, after = (jax.lax.slice_in_dim(around, i, i + plane.shape[axis], axis=axis) for i in (0, 2))
    shape = [(1 + (axis == i)) * length for i, length in enumerate(plane.shape)]
    return jnp.stack([3 * plane + before + bias[0], 3 * plane + after + bias[1]], axis=axis + 1).reshape(shape)


def _compress(plane: jax.Array, table: jax.Array) -> jax.Array:
    """Quantise the DCT of a plane [B, H, W] in 0..255 and invert it; the last row and column repeat to fill blocks."""
    _, height, width = plane.shape
    plane = jnp.pad(plane, ((0, 0), (0, -height % 8), (0, -width % 8)), mode="edge")
    blocks = plane.reshape(-1, plane.shape[1] // 8, 8, plane.shape[2] // 8, 8) - 128
    table = table[:, None, :, None, :]
    coefficients = _vertical(_horizontal(blocks, _DCT, 11), _DCT, 15)  # times 8
    levels = jax.lax.div(coefficients + 4 * table * jnp.sign(coefficients), 8 * table)  # rounded, halves away from 0
    blocks = _horizontal(_vertical(levels * table, _DCT.T, 11), _DCT.T, 18)
    return jnp.clip(blocks.reshape(plane.shape)[:, :height, :width] + 128, 0, 255)


# Each pass is a sum of products because XLA computes a sum once for all its readers and vectorises its loop. Integer
# matrix products and slices were slower on CPUs.


def _horizontal(blocks: jax.Array, matrix: np.ndarray, shift: int) -> jax.Array:
    """The matrix times each row of 8, over 2 to the power of ``shift``."""
    products = blocks[..., None] * matrix.T.reshape(1, 1, 1, 1, 8, 8)
    return _rounded_shift(products.sum(axis=4), shift)


def _vertical(blocks: jax.Array, matrix: np.ndarray, shift: int) -> jax.Array:
    """The matrix times each column of 8, over 2 to the power of ``shift``."""
    products = blocks[:, :, :, None] * matrix.T.reshape(1, 1, 8, 8, 1, 1)
    return _rounded_shift(products.sum(axis=2), shift)


def _rounded_shift(x: jax.Array, shift: int) -> jax.Array:
    """x over 2 to the power of ``shift``, halves up."""
    return (x + (1 << (shift - 1))) >> shift
