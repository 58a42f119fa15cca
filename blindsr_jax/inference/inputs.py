"""Checks of what callers give to models: of shapes always, of values where they are known.

Known values are looked at in NumPy, so that nothing is compiled for them. Traced ones pass: a model may be called
below ``jit``, ``vmap`` and ``grad``.
"""

from __future__ import annotations

import contextlib
import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.errors import DataError, OutOfMemory
from blindsr_jax.images.kernel_arrays import in_window
from blindsr_jax.ops.arguments import known, traced

_BEYOND = 0.5  # how far noise that was not clipped may leave [0, 1]


def checked_batch(lr: typing.Any, iterations: int | None) -> np.ndarray | jax.Array:
    """LR images as float32 [B, H, W, 3].

    Raises:
      DataError: they are no such images, not finite, or farther than a half outside of [0, 1]; or the number of
        unfolded steps is less than one.
    """
    lr = lr if isinstance(lr, jax.Array) else np.asarray(lr)
    if lr.ndim != 4 or lr.shape[-1] != 3 or 0 in lr.shape:
        raise DataError(f"a model wants images [B, H, W, 3], got shape {lr.shape}")
    if not jnp.issubdtype(lr.dtype, jnp.floating):
        raise DataError(f"a model wants floating-point images in [0, 1], got {lr.dtype}: divide levels by 255")
    if iterations is not None and iterations < 1:
        raise DataError(f"iterations must be at least 1, got {iterations}")
    values = known(lr)
    if values is not None:
        low, high = values.min(), values.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise DataError("a model wants finite images; there are NaN or infinite pixels")
        if low < -_BEYOND or high > 1 + _BEYOND:
            raise DataError(f"a model wants images in [0, 1], these are in [{low:g}, {high:g}]: scale them")
    return lr.astype(np.float32)


def checked_kernels(kernel: typing.Any) -> np.ndarray | jax.Array:
    """A user's kernels, [K, K] or [B, K, K], as float32 [B, K, K], each summing to one.

    Raises:
      DataError: not square, even-sized, not finite, or without a positive sum.
    """
    kernel = kernel.astype(jnp.float32) if traced(kernel) else np.asarray(kernel, np.float32)
    kernel = kernel[None] if kernel.ndim == 2 else kernel
    if kernel.ndim != 3 or kernel.shape[1] != kernel.shape[2] or kernel.shape[1] % 2 == 0:
        raise DataError(f"a kernel must be square with an odd side, [K, K] or [B, K, K]; got shape {kernel.shape}")
    with np.errstate(over="ignore"):
        total = kernel.sum(axis=(1, 2), keepdims=True)
    if not traced(kernel) and not (np.isfinite(kernel).all() and (total > 0).all() and (total < np.inf).all()):
        raise DataError("a kernel must hold finite numbers with a finite, positive sum")
    return kernel / total


def fit_kernel(kernel: typing.Any, size: int) -> np.ndarray | jax.Array:
    """A user's kernel as the network takes it: float32 [B, size, size], summing to one.

    Smaller kernels are surrounded by zeros. Larger ones are cropped if at most 1 % of their weight lies outside; of
    traced ones that is not known, and they are cropped in any case.

    Args:
      kernel: [K', K'] or [B, K', K'], odd K'.
      size: K.

    Raises:
      DataError: as ``checked_kernels``, or too wide for the model.
    """
    kernels = checked_kernels(kernel)
    if not traced(kernels):
        return np.stack([in_window(one, size) for one in kernels])
    margin = (size - kernels.shape[1]) // 2
    sides = (margin, margin, 0)
    return checked_kernels(jax.lax.pad(kernels, jnp.zeros((), kernels.dtype), ((0, 0, 0), sides, sides)))


def one_for_each(kernels: np.ndarray | jax.Array, count: int) -> np.ndarray | jax.Array:
    """Kernels [B, K, K] or [1, K, K] for so many images. Raises DataError if there are others than one or as many."""
    if kernels.shape[0] not in (1, count):
        raise DataError(f"{kernels.shape[0]} kernels for {count} images: give one each, or one for all")
    library = jnp if traced(kernels) else np
    return library.broadcast_to(kernels, (count, *kernels.shape[1:]))


def checked_code(code: typing.Any, count: int, length: int) -> np.ndarray | jax.Array:
    """Kernel codes, [B, L] or [1, L], for so many images as float32 [B, L].

    Raises:
      DataError: they have another shape, or are not finite.
    """
    library = jnp if traced(code) else np
    code, shape = library.asarray(code, np.float32), (count, length)
    if code.shape not in (shape, (1, length)):
        raise DataError(f"kernel codes of {count} images have shape {shape}, got {code.shape}")
    if not traced(code) and not np.isfinite(code).all():
        raise DataError("a kernel code must hold finite numbers")
    return library.broadcast_to(code, shape)


def checked_sigma(sigma: typing.Any, count: int) -> np.ndarray | jax.Array:
    """A noise level, or one for each of so many images, as float32. Raises DataError if it is not in [0, 1]."""
    sigma = sigma.astype(jnp.float32) if traced(sigma) else np.asarray(sigma, np.float32)
    if sigma.shape not in ((), (count,)):
        raise DataError(f"sigma is one noise level, or one for each of {count} images; got shape {sigma.shape}")
    if not traced(sigma) and not ((sigma >= 0) & (sigma <= 1)).all():
        raise DataError(f"sigma is the noise's standard deviation in [0, 1], got {sigma}: divide levels by 255")
    return sigma


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
