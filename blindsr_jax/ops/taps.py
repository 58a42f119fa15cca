"""Linear maps along one axis of images, every output a weighted sum of a few inputs: what resizing is made of."""

from __future__ import annotations

import functools
import typing

import jax
import jax.numpy as jnp
import numpy as np

# A longer axis has a matrix that takes more memory than the image that it is for.
LONG = 1024


class Taps(typing.NamedTuple):
    """Output o is the sum over t of weight[o, t] · x[index[o, t]].

    Attributes:
      index: [out, taps], whole numbers; NumPy's, or JAX's if they are known at run time only.
      weight: [out, taps], likewise.
    """

    index: typing.Any
    weight: typing.Any


def along(x: typing.Any, taps: Taps, axis: int) -> typing.Any:
    """The map along axis 1 or 2 of [B, H, W, C]: a product with its matrix, but of long axes, and in NumPy, a sum."""
    if isinstance(x, np.ndarray) or x.shape[axis] > LONG:
        return _sum(x, taps, axis)
    # Accelerators would otherwise multiply in reduced precision, and this operator defines the data.
    product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    return product(("oh,bhwc->bowc", "ow,bhwc->bhoc")[axis - 1], jnp.asarray(matrix(taps, x.shape[axis]), x.dtype), x)


def matrix(taps: Taps, length: int) -> np.ndarray | jax.Array:
    """The map of so many inputs as a matrix [out, length]: float64 if NumPy's, else float32."""
    if isinstance(taps.index, np.ndarray):
        dense = np.zeros((len(taps.index), length))
        np.add.at(dense, (np.arange(len(dense))[:, None], taps.index), taps.weight)
        return dense
    count = taps.index.shape[1]
    parts = zip(jnp.split(taps.index, count, axis=1), jnp.split(jnp.asarray(taps.weight, jnp.float32), count, axis=1))
    return sum(jnp.where(at == jnp.arange(length)[None], part, 0) for at, part in parts)


def _sum(x: typing.Any, taps: Taps, axis: int) -> typing.Any:
    shape, weight = [-1 if i == axis else 1 for i in range(4)], taps.weight.astype(x.dtype)
    return sum(x.take(taps.index[:, t], axis) * weight[:, t].reshape(shape) for t in range(weight.shape[1]))
