"""A test whose answer is known: a sharp picture is blurred and shrunk, so that what is found can be compared."""

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

_LEAST = 16  # pixels of a side of what is left


class SyntheticTest(typing.NamedTuple):
    """A picture made small and soft.

    Attributes:
      lr: uint8 [H, W, 3].
      hr: what it was made of, uint8 [s·H, s·W, 3].
      kernel: [K, K].
    """

    lr: np.ndarray
    hr: np.ndarray
    kernel: np.ndarray


def blur_and_shrink(
    picture: Picture, kernel: np.ndarray, *, scale: int, noise: float, downsample: Downsample
) -> SyntheticTest:
    """y = ((x ⊗ k)↓s) + n, as ``blindsr degrade`` makes it; rows and columns beyond a multiple of s are left out.

    Args:
      picture: a sharp one; without its transparency.
      kernel: [K, K], summing to one.
      scale: s.
      noise: standard deviation on the 0–255 scale; the same noise every time.
      downsample: what the model expects.

    Raises:
      DataError: hardly anything would be left.
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
    """What a restored picture is compared with: bicubic interpolation, in the same place.

    Models of s-fold sampling take a pixel for a sample at the upper left of its block, bicubic interpolation for one at
    the centre: it is moved by the difference, (s − 1)/2, or it would look, and score, worse than it is.

    Args:
      lr: uint8 [H, W, 3].
      scale: s.
      downsample: the model's.

    Returns:
      uint8 [s·H, s·W, 3].
    """
    enlarged = enlarge_bicubic(lr, scale)
    if downsample == "bicubic":
        return enlarged
    offset = -(scale - 1) / 2
    moved = scipy.ndimage.shift(np.float32(enlarged), (offset, offset, 0), mode="nearest")
    return np.uint8(np.clip(np.round(moved), 0, 255))
