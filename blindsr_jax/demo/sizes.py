"""Pictures that are shrunk before they are restored, and results of the picture's own size."""

from __future__ import annotations

import dataclasses

import numpy as np

from blindsr_jax.demo.restoring import Outcome
from blindsr_jax.demo.uploads import Picture
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restore import enlarge_bicubic
from blindsr_jax.inference.shrinking import enlarged_rows, shrunk
from blindsr_jax.pictures import from_unit


def shrunk_picture(picture: Picture, factor: int) -> Picture:
    """Shrink a picture by a factor, to floating point; by 1, it stays as it is."""
    return picture if factor == 1 else dataclasses.replace(picture, pixels=shrunk(picture.pixels, factor))


def brought_to_size(outcome: Outcome, picture: Picture, factor: int, scale: int, same_size: bool) -> Outcome:
    """Bring the result of a shrunk picture to its size and type.

    Args:
      outcome: the result of ``shrunk_picture``.
      picture: the picture before it was shrunk.
      factor: by how much it was shrunk.
      scale: the model's.
      same_size: the result gets the picture's own size and is compared with the picture. Otherwise it gets ``scale``
        times that size and is compared with an interpolation.
    """
    if factor == 1:
        return outcome
    dtype = picture.pixels.dtype
    rgb = from_unit(Pixels(picture.pixels).rgb(), np.dtype(np.uint8))
    height, width = rgb.shape[:2]
    if same_size:
        return outcome._replace(image=from_unit(outcome.image[:height, :width], dtype), interpolated=rgb, steps=[])
    shape = (scale * height, scale * width, *outcome.image.shape[2:])
    image = from_unit(np.concatenate(list(enlarged_rows(outcome.image, factor, shape))), dtype)
    return outcome._replace(image=image, interpolated=enlarge_bicubic(rgb, scale), steps=[])
