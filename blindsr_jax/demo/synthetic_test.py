"""A synthetic test: a sharp picture is blurred and shrunk, so the result can be compared with the truth."""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # brings in its parts when they are first used

from blindsr_jax import degradations
from blindsr_jax.demo.uploads import Picture
from blindsr_jax.errors import DataError
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restore import enlarge_bicubic
from blindsr_jax.pictures import from_unit

if typing.TYPE_CHECKING:
    from blindsr_jax.degradations.pipeline import Downsample

_LEAST = 16  # pixels: the shortest side of the shrunk picture


class SyntheticTest(typing.NamedTuple):
    """A blurred and shrunk picture with the truth.

    Attributes:
      lr: uint8 [H, W, 3].
      hr: the sharp picture, uint8 [s·H, s·W, 3].
      kernel: the blur kernel [K, K].
    """

    lr: np.ndarray
    hr: np.ndarray
    kernel: np.ndarray


def blur_and_shrink(
    picture: Picture, kernel: np.ndarray, *, scale: int, noise: float, downsample: Downsample
) -> SyntheticTest:
    """Blur and shrink a sharp picture as ``blindsr degrade`` does: y = ((x ⊗ k)↓s) + n.

    Rows and columns beyond a multiple of s are cropped.

    Args:
      picture: a sharp picture; its transparency is ignored.
      kernel: [K, K], summing to one.
      scale: s.
      noise: standard deviation on the 0–255 scale. The noise is the same every time.
      downsample: the downsampling that the model expects.

    Raises:
      DataError: the picture is too small to be shrunk.
    """
    sharp = Pixels(picture.pixels)
    height, width = (side // scale * scale for side in sharp.size)
    if min(height, width) < max(_LEAST * scale, len(kernel)):
        raise DataError(
            f"{picture.name} has {sharp.size[1]}×{sharp.size[0]} pixels: too few to be made {scale} times smaller"
        )
    hr = from_unit(sharp.rgb(slice(0, height), slice(0, width)), np.dtype(np.uint8))
    degraded = degradations.degrade(
        jax.random.key(0),
        jnp.asarray(hr[None], jnp.float32) / 255,
        scale=scale,
        kernel=jnp.asarray(kernel)[None],
        downsample=downsample,
        noise=(noise, noise),
    )
    return SyntheticTest(from_unit(np.asarray(degraded.lr[0]), np.dtype(np.uint8)), hr, kernel)


def interpolated(lr: np.ndarray, scale: int, downsample: Downsample) -> np.ndarray:
    """Enlarge a picture by bicubic interpolation, aligned with the restored picture that it is compared with.

    For models of s-fold sampling an LR pixel is the upper-left sample of its block, but bicubic interpolation places it
    at the block's centre. The enlarged picture is moved by the difference, (s − 1)/2 pixels. Otherwise the baseline
    would look and score worse than it is.

    Args:
      lr: uint8 [H, W, 3].
      scale: s.
      downsample: the model's downsampling.

    Returns:
      uint8 [s·H, s·W, 3].
    """
    enlarged = enlarge_bicubic(lr, scale)
    if downsample == "bicubic":
        return enlarged
    offset = -(scale - 1) / 2
    moved = scipy.ndimage.shift(np.float32(enlarged), (offset, offset, 0), mode="nearest")
    return np.clip(np.round(moved), 0, 255).astype(np.uint8)
