"""Checks of arguments: shapes and types always, values where they are known.

A traced array has no values yet, and one that lies on several hosts none that can be read here. Both pass, so that
every function can be used under ``jit``, ``vmap`` and ``grad``.
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.errors import InputError

Array = typing.TypeVar("Array", bound=typing.Any)


def known(x: typing.Any) -> np.ndarray | None:
    """The values of an argument as a NumPy array; None if they are not known."""
    if isinstance(x, jax.core.Tracer) or (isinstance(x, jax.Array) and not x.is_fully_addressable):
        return None
    return np.asarray(x)


def traced(*arguments: typing.Any) -> bool:
    """Whether any array of these trees is traced."""
    return any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(arguments))


def check_floating(name: str, x: Array) -> Array:
    """The array, which holds finite floating-point numbers.

    Raises:
      InputError: it is of another type, or a known value is not finite.
    """
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(f"{name} must be an array of floating-point numbers, got {x.dtype}; divide levels by 255")
    values = known(x)
    if values is not None and not np.isfinite(values).all():
        raise InputError(f"{name} must hold finite numbers; there are NaN or infinite ones")
    return x


def check_images(name: str, x: Array, channels: int | None = None) -> Array:
    """The images, which are finite floating-point numbers [B, H, W, C].

    Raises:
      InputError: they are not, have other than ``channels``, or are empty.
    """
    wanted = f"[B, H, W, {channels or 'C'}]"
    if np.ndim(x) != 4 or (channels and x.shape[-1] != channels) or 0 in x.shape[1:]:
        raise InputError(f"{name} must be images {wanted}, got shape {np.shape(x)}")
    return check_floating(name, x)


def check_kernels(kernel: Array, batch: int | None = None) -> Array:
    """The blur kernels, which are [B, K, K] or [1, K, K], odd K, each with a positive sum.

    Args:
      kernel: the kernels.
      batch: B; None for any number of kernels.

    Raises:
      InputError: they are not.
    """
    if np.ndim(kernel) != 3 or kernel.shape[1] != kernel.shape[2] or kernel.shape[1] % 2 == 0:
        raise InputError(f"kernel must be [B, K, K] with odd K, got shape {np.shape(kernel)}")
    if batch is not None and kernel.shape[0] not in (1, batch):
        raise InputError(f"{kernel.shape[0]} kernels for {batch} images: give one each, or one for all")
    values = known(check_floating("kernel", kernel))
    if values is not None:
        with np.errstate(over="ignore"):
            total = values.sum(axis=(1, 2))
        if not ((total > 0) & (total < np.inf)).all():
            raise InputError("kernel must have a finite, positive sum: each is a weighted mean of pixels")
    return kernel


def check_range(name: str, x: typing.Any, lowest: float = -np.inf, highest: float = np.inf) -> None:
    """Raises InputError if a known number is not finite, or outside of [lowest, highest]."""
    values = known(x)
    if values is None or (np.isfinite(values).all() and (values >= lowest).all() and (values <= highest).all()):
        return
    limits = ("" if lowest == -np.inf else f" from {lowest:g}") + ("" if highest == np.inf else f" to {highest:g}")
    raise InputError(f"{name} must be finite{limits}, got {values if values.size <= 4 else 'other numbers'}")


def as_floating(x: jax.Array | float) -> jax.Array:
    """An array in its own floating type, but at least in float32; a Python number takes the type of what it meets."""
    x = jnp.asarray(x)  # types are compared, not promoted: JAX's strict rules forbid that
    wide = jnp.issubdtype(x.dtype, jnp.floating) and jnp.finfo(x.dtype).bits >= 32
    if wide and getattr(x, "weak_type", False):
        return x
    return x.astype(x.dtype if wide else jnp.float32)
