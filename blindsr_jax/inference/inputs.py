"""Checks of what callers give to models, in NumPy, so that nothing is compiled for them."""

from __future__ import annotations

import contextlib
import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.errors import DataError, OutOfMemory
from blindsr_jax.images.kernel_arrays import in_window


def checked_batch(lr: typing.Any, iterations: int | None) -> np.ndarray | jax.Array:
    """LR images as float32 [B, H, W, 3]. Raises DataError if they, or the number of unfolded steps, cannot be."""
    lr = jnp.asarray(lr, jnp.float32) if isinstance(lr, jax.Array) else np.asarray(lr, np.float32)
    if lr.ndim != 4 or lr.shape[-1] != 3:
        raise DataError(f"a model wants images [B, H, W, 3], got shape {lr.shape}")
    if iterations is not None and iterations < 1:
        raise DataError(f"iterations must be at least 1, got {iterations}")
    return lr


def checked_kernels(kernel: typing.Any) -> np.ndarray:
    """A user's kernels, [K, K] or [B, K, K], as float32 [B, K, K], each summing to one.

    Raises:
      DataError: not square, even-sized, not finite, or without a positive sum.
    """
    kernel = np.asarray(kernel, np.float32)
    kernel = kernel[None] if kernel.ndim == 2 else kernel
    if kernel.ndim != 3 or kernel.shape[1] != kernel.shape[2] or kernel.shape[1] % 2 == 0:
        raise DataError(f"a kernel must be square with an odd side, [K, K] or [B, K, K]; got shape {kernel.shape}")
    total = kernel.sum(axis=(1, 2), keepdims=True)
    if not np.isfinite(kernel).all() or (total <= 0).any():
        raise DataError("a kernel must hold finite numbers with a positive sum")
    return kernel / total


def fit_kernel(kernel: typing.Any, size: int) -> np.ndarray:
    """A user's kernel as the network takes it: float32 [B, size, size], summing to one.

    Smaller kernels are surrounded by zeros. Larger ones are cropped if at most 1 % of their weight lies outside.

    Args:
      kernel: [K', K'] or [B, K', K'], odd K'.
      size: K.

    Raises:
      DataError: as ``checked_kernels``, or too wide for the model.
    """
    return np.stack([in_window(one, size) for one in checked_kernels(kernel)])


def one_for_each(kernels: np.ndarray, count: int) -> np.ndarray:
    """Kernels [B, K, K] or [1, K, K] for so many images. Raises DataError if there are others than one or as many."""
    if kernels.shape[0] not in (1, count):
        raise DataError(f"{kernels.shape[0]} kernels for {count} images: give one each, or one for all")
    return np.broadcast_to(kernels, (count, *kernels.shape[1:]))


@contextlib.contextmanager
def memory_errors(lr: jax.Array) -> typing.Iterator[None]:
    """Turns running out of memory into an OutOfMemory that names the size of the images."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        size = f"{lr.shape[2]}x{lr.shape[1]}"
        raise OutOfMemory(f"not enough memory for images of {size} pixels: restore in smaller tiles (--tile)") from None
