"""JPEG as libjpeg-turbo writes and reads it, equal to the last bit, in integer arithmetic inside jit.

The entropy coding between the two loses nothing, so it is left out. Blocks are never gathered: an image of [H, W]
pixels is seen as [H/8, 8, W/8, 8], and each pass of the DCT contracts one of the axes of length 8.

Sources: ITU-T T.81 (Annex K for the tables), JFIF 1.02 for the colours; Loeffler, Ligtenberg and Moschytz,
"Practical fast 1-D DCT algorithms with 11 multiplications" (ICASSP 1989) for the DCT, which libjpeg calls "islow".
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np

Subsampling = typing.Literal["420", "444"]

# Annex K, rows are vertical frequencies.
LUMA_TABLE = np.int32(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
CHROMA_TABLE = np.full((8, 8), 99, np.int32)
CHROMA_TABLE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

# The DCT times sqrt(8) in 13 fractional bits, [frequency, position]. Each entry is the sum of the rounded constants
# along its path through the fast algorithm, which is why some are one away from the rounded cosine.
DCT = np.int32(
    [
        [8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192],
        [11363, 9633, 6437, 2260, -2260, -6437, -9633, -11363],
        [10703, 4433, -4433, -10703, -10703, -4433, 4433, 10703],
        [9633, -2259, -11362, -6436, 6436, 11362, 2259, -9633],
        [8192, -8192, -8192, 8192, 8192, -8192, -8192, 8192],
        [6437, -11362, 2261, 9633, -9633, -2261, 11362, -6437],
        [4433, -10704, 10704, -4433, -4433, 10704, -10704, 4433],
        [2260, -6436, 9633, -11363, 11363, -9633, 6436, -2260],
    ]
)


def jpeg(x: jax.Array, quality: jax.Array | int, subsampling: Subsampling = "420") -> jax.Array:
    """Compresses images by JPEG and decompresses them: the pixels that libjpeg-turbo (and so Pillow, OpenCV) gives.

    The encoder uses the baseline tables of ``quality`` and the "islow" DCT; the decoder the same DCT and smooth
    ("fancy") upsampling of chroma. These are the library's defaults. There is no gradient: everything is rounded.

    Args:
      x: [B, H, W, 3] RGB in [0, 1], of any size; rounded to 8 bits first, and clipped.
      quality: integer 1 to 100, or int [B], one for each image; may be traced, and is then clipped to that range.
      subsampling: "420" halves chroma both ways, which Pillow and OpenCV do by default; "444" keeps its size.

    Returns:
      float32 [B, H, W, 3] in [0, 1], multiples of 1/255.

    Raises:
      ValueError: ``x`` is no batch of RGB images; ``quality`` is no integer, outside 1 to 100, or not one for each
        image; ``subsampling`` is unknown.
    """
    if x.ndim != 4 or x.shape[-1] != 3:
        raise ValueError(f"jpeg wants RGB images [B, H, W, 3], got shape {x.shape}")
    if subsampling not in typing.get_args(Subsampling):
        raise ValueError(f"subsampling is {subsampling!r}; it must be '420' or '444'")
    height, width = x.shape[1:3]
    quality = _checked_quality(quality, x.shape[0])
    luma, *chroma = _to_ycbcr(jnp.round(jnp.clip(x, 0, 1) * 255).astype(jnp.int32))
    luma = _compress(luma, _quantisation(LUMA_TABLE, quality))
    table = _quantisation(CHROMA_TABLE, quality)
    if subsampling == "444":
        chroma = [_compress(plane, table) for plane in chroma]
    else:
        chroma = [_upsample(_compress(_downsample(plane), table), height, width) for plane in chroma]
    return _to_rgb(luma, *chroma).astype(jnp.float32) / 255


def _checked_quality(quality: jax.Array | int, batch: int) -> jax.Array:
    """int32 [B], in 1..100."""
    given = quality if isinstance(quality, jax.Array) else np.asarray(quality)
    if not jnp.issubdtype(given.dtype, jnp.integer):
        raise ValueError(f"quality must be an integer from 1 to 100, or one for each image, got {given.dtype}")
    if given.shape not in ((), (batch,)):
        raise ValueError(f"quality must be one integer or one for each of the {batch} images, got shape {given.shape}")
    if not isinstance(given, jax.core.Tracer) and given.size and (given.min() < 1 or given.max() > 100):
        raise ValueError(f"quality must be from 1 to 100, got {quality}")
    return jnp.broadcast_to(jnp.clip(given, 1, 100).astype(jnp.int32), (batch,))


def _quantisation(base: np.ndarray, quality: jax.Array) -> jax.Array:
    """A table for each image, [B, 8, 8]: Annex K's at quality 50, in proportion above and below."""
    percent = jnp.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return jnp.clip((base * percent[:, None, None] + 50) // 100, 1, 255)


def _to_ycbcr(rgb: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Y, Cb, Cr, [B, H, W] each in 0..255, in 16-bit fixed point."""
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    half, middle = 1 << 15, 128 << 16
    y = (19595 * r + 38470 * g + 7471 * b + half) >> 16
    cb = (-11059 * r - 21709 * g + 32768 * b + middle + half - 1) >> 16
    cr = (32768 * r - 27439 * g - 5329 * b + middle + half - 1) >> 16
    return y, cb, cr


def _to_rgb(y: jax.Array, cb: jax.Array, cr: jax.Array) -> jax.Array:
    """[B, H, W, 3] in 0..255."""
    of_cb, of_cr = np.int32([0, -22554, 116130]), np.int32([91881, -46802, 0])
    cb, cr = cb[..., None] - 128, cr[..., None] - 128
    return jnp.clip(y[..., None] + ((of_cb * cb + of_cr * cr + (1 << 15)) >> 16), 0, 255)


def _downsample(plane: jax.Array) -> jax.Array:
    """Means of 2x2, [B, ⌈H/2⌉, 8·⌈W/16⌉]; halves are rounded down in even columns and up in odd ones.

    The encoder repeats the last column before it averages, up to a whole block, so that averages right of the image
    are its last column's alone.
    """
    _, height, width = plane.shape
    plane = jnp.pad(plane, ((0, 0), (0, height % 2), (0, -width % 16)), mode="edge")
    total = plane[:, ::2, ::2] + plane[:, 1::2, ::2] + plane[:, ::2, 1::2] + plane[:, 1::2, 1::2]
    return (total + 1 + np.arange(total.shape[2], dtype=np.int32) % 2) >> 2


def _upsample(plane: jax.Array, height: int, width: int) -> jax.Array:
    """To [B, height, width]: weights 3/4 and 1/4 both ways ("fancy"); images of up to 4 columns repeat pixels."""
    rows, columns = -(-height // 2), -(-width // 2)
    plane = plane[:, :rows, :columns]
    if columns <= 2:
        return plane.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    around = jnp.pad(plane, ((0, 0), (1, 1), (0, 0)), mode="edge")
    tall = jnp.stack([3 * plane + around[:, :-2], 3 * plane + around[:, 2:]], axis=2).reshape(-1, 2 * rows, columns)
    around = jnp.pad(tall, ((0, 0), (0, 0), (1, 1)), mode="edge")
    wide = jnp.stack([3 * tall + around[:, :, :-2] + 8, 3 * tall + around[:, :, 2:] + 7], axis=3) >> 4
    return wide.reshape(-1, 2 * rows, 2 * columns)[:, :height, :width]


def _compress(plane: jax.Array, table: jax.Array) -> jax.Array:
    """One plane [B, H, W] through DCT, quantisation and back, in 0..255; the last row and column fill whole blocks."""
    _, height, width = plane.shape
    plane = jnp.pad(plane, ((0, 0), (0, -height % 8), (0, -width % 8)), mode="edge")
    batch, padded_height, padded_width = plane.shape
    blocks = plane.reshape(batch, padded_height // 8, 8, padded_width // 8, 8) - 128
    table = table[:, None, :, None, :]
    coefficients = _vertical(_horizontal(blocks, DCT, 11), DCT, 15)
    levels = jax.lax.div(coefficients + 4 * table * jnp.sign(coefficients), 8 * table)  # rounded, halves away from 0
    blocks = _horizontal(_vertical(levels * table, DCT.T, 11), DCT.T, 18)
    return jnp.clip(blocks.reshape(plane.shape)[:, :height, :width] + 128, 0, 255)


def _horizontal(blocks: jax.Array, matrix: np.ndarray, shift: int) -> jax.Array:
    """The matrix times each row of 8, divided by 2 to the power of ``shift`` and rounded."""
    products = matrix.T.reshape(1, 1, 1, 1, 8, 8) * blocks[..., None]
    return _rounded_shift(products.sum(axis=4), shift)


def _vertical(blocks: jax.Array, matrix: np.ndarray, shift: int) -> jax.Array:
    """The matrix times each column of 8, divided by 2 to the power of ``shift`` and rounded."""
    products = matrix.T.reshape(1, 1, 8, 8, 1, 1) * blocks[:, :, :, None]
    return _rounded_shift(products.sum(axis=2), shift)


def _rounded_shift(x: jax.Array, shift: int) -> jax.Array:
    """x / 2^shift, halves up."""
    return (x + (1 << (shift - 1))) >> shift
