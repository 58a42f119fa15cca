"""Sparse linear maps along one image axis: each output is a weighted sum of a few inputs, as in resizing."""

from __future__ import annotations

import functools
import typing

import jax
import jax.numpy as jnp
import numpy as np

# The matrix of a longer axis would take more memory than the image.
LONG = 1024


class Taps(typing.NamedTuple):
    """A linear map: output o is the sum over t of weight[o, t] · x[index[o, t]].

    Attributes:
      index: [out, taps], integers; a NumPy array, or a JAX array if known only at run time.
      weight: [out, taps], a NumPy or JAX array likewise.
    """

    index: typing.Any
    weight: typing.Any


def along(x: typing.Any, taps: Taps, axis: int) -> typing.Any:
    """Apply the map along axis 1 or 2 of [B, H, W, C]: a matrix product, or a sum for NumPy arrays and long axes."""
    if isinstance(x, np.ndarray) or (isinstance(x.shape[axis], int) and x.shape[axis] > LONG):
        return _sum(x, taps, axis)
    # By default accelerators multiply in reduced precision, but this operator defines the data.
    product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    return product(("oh,bhwc->bowc", "ow,bhwc->bhoc")[axis - 1], jnp.asarray(matrix(taps, x.shape[axis]), x.dtype), x)


def matrix(taps: Taps, length: int) -> np.ndarray | jax.Array:
    """Return the map of ``length`` inputs as a matrix [out, length]: float64 in NumPy, float32 in JAX."""
    if isinstance(taps.index, np.ndarray):
        return constant_matrix(taps, length)
    count = taps.index.shape[1]
    parts = zip(jnp.split(taps.index, count, axis=1), jnp.split(jnp.asarray(taps.weight, jnp.float32), count, axis=1))
    return sum((jnp.where(at == jnp.arange(length)[None], part, 0) for at, part in parts), jnp.float32(0))


def constant_matrix(taps: Taps, length: int) -> np.ndarray:
    """``matrix`` for taps that are NumPy arrays."""
    dense = np.zeros((len(taps.index), length))
    np.add.at(dense, (np.arange(len(dense))[:, None], taps.index), taps.weight)
    return dense


def _sum(x: typing.Any, taps: Taps, axis: int) -> typing.Any:
    shape, weight = [-1 if i == axis else 1 for i in range(4)], taps.weight.astype(x.dtype)
    return sum(x.take(taps.index[:, t], axis) * weight[:, t].reshape(shape) for t in range(weight.shape[1]))
