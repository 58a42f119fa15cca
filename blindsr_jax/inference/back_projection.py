"""Back-projection of restored pictures, in horizontal windows that give the same pixels as the whole picture."""

from __future__ import annotations

import math
import typing

import numpy as np

from blindsr_jax.errors import DataError, InputError
from blindsr_jax.inference.inputs import checked_kernels, memory_errors
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.programs import back_project
from blindsr_jax.inference.restorer import Restorer

_ROWS = 64  # LR rows that a window finishes
_CUBIC = 5  # LR pixels that the two bicubic maps of a step reach, and a shift by less than one


def check_back_projection(model: Restorer, iterations: int) -> None:
    """Raise DataError if a model has no kernel to project back with, or the number of steps is no whole number ≥ 0."""
    if not isinstance(iterations, int) or isinstance(iterations, bool) or iterations < 0:
        raise DataError(f"back_project must be a whole number of steps, 0 for none, got {iterations!r}")
    if not iterations:
        return
    if not model.restores:
        raise DataError(f"{model.network} restores no image that could be projected back")
    if model.kernel_space == "lr":
        raise DataError(f"{model.network} finds the kernel of the LR image, and back-projection needs the HR image's")
    if not (model.estimates_kernel or model.takes_kernel):
        raise DataError(f"{model.network} works without a blur kernel, and back-projection needs one")


def back_projected(
    model: Restorer, bands: typing.Iterable[np.ndarray], pixels: Pixels, kernel: np.ndarray, iterations: int
) -> typing.Iterator[np.ndarray]:
    """Apply ``ops.back_project`` to a restored image, from top to bottom.

    A window of rows is corrected at once, with as many rows above and below as can change its own, so that the result
    is that of the whole image within the rounding of float32. Images that wrap around are corrected whole.

    Args:
      model: the model that restored it. Its downsampling and border belong to the kernel.
      bands: the restored rows [n, s·W, 3], in any portions.
      pixels: the LR image.
      kernel: [K, K], estimated or given; it is scaled to sum to one.
      iterations: number of steps, at least 1.

    Yields:
      Corrected rows [n, s·W, 3].

    Raises:
      DataError: the kernel is too large for the image.
      OutOfMemory: a window does not fit into memory.
    """
    kernels, scale, (height, width) = checked_kernels(kernel), model.scale, pixels.size
    reach = iterations * (_CUBIC + math.ceil(kernels.shape[1] // 2 / scale))
    rows = height if model.border == "circular" else min(height, _ROWS + 2 * reach)
    options = {"scale": scale, "iterations": iterations, "downsample": model.downsample, "blur_mode": model.border}
    source, waiting, first, top = iter(bands), np.zeros((0, scale * width, 3), np.float32), 0, 0
    while top < height:
        start = min(max(top - reach, 0), height - rows)
        end = height if start + rows == height else start + rows - reach
        waiting, first = waiting[scale * (start - first) :], start
        while len(waiting) < scale * rows:
            waiting = np.concatenate([waiting, next(source)])
        lr = pixels.rgb(slice(start, start + rows))
        try:
            with memory_errors(lr[None]):
                window = np.asarray(back_project(waiting[None, : scale * rows], lr[None], kernels, **options))[0]
        except InputError as error:
            raise DataError(f"back-projection: {error}") from None
        yield window[scale * (top - start) : scale * (end - start)]
        top = end
