"""Images on a canvas: one compiled program for images of many sizes, with the numbers that each would get alone.

An image lies in the upper left corner of a canvas, and where it ends is told at run time. As convolutions pad with
zeros, a network computes inside of the image what it would compute on the image alone, if every map that a convolution
reads is zero outside: the layers see to that by ``keep``, and take their means over the image by ``mean``. Without a
canvas both do nothing more than they say, and leave no trace in the compiled program.

What takes an FFT over the whole image (USRNet, DPIR, KernelNet, the model-based estimator) needs images of their own
size: see ``Unfolded.takes_canvas``.
"""

from __future__ import annotations

import contextlib
import contextvars
import typing

import jax
import jax.numpy as jnp

from blindsr_jax.ops.resize import Extent


class _Canvas(typing.NamedTuple):
    """Height and width of the canvas, and of the image on it."""

    shape: tuple[int, int]
    image: Extent


_CANVAS: contextvars.ContextVar[_Canvas | None] = contextvars.ContextVar("canvas", default=None)


@contextlib.contextmanager
def holding(shape: tuple[int, int], image: Extent | None) -> typing.Iterator[None]:
    """While a network is traced in this block, its maps are those of a canvas.

    Args:
      shape: height and width of the canvas.
      image: height and width of the image on it, each at least 1 and not beyond the canvas; None for no canvas.
    """
    token = _CANVAS.set(None if image is None else _Canvas(shape, image))
    try:
        yield
    finally:
        _CANVAS.reset(token)


def extent(x: jax.Array) -> Extent | None:
    """Height and width of the image in a map [B, m·H, m·W, C] of a canvas of H×W pixels, for any whole m.

    None without a canvas, and for maps of another size, such as gates of one pixel: they have no outside.
    """
    canvas = _CANVAS.get()
    if canvas is None or x.shape[1] % canvas.shape[0] or x.shape[2] % canvas.shape[1]:
        return None
    height, width = (length // whole * part for length, whole, part in zip(x.shape[1:3], canvas.shape, canvas.image))
    return height, width


def keep(x: jax.Array) -> jax.Array:
    """The map with zeros outside of the image; without a canvas the map itself."""
    image = extent(x)
    if image is None:
        return x
    rows, columns = (jnp.arange(length) < end for length, end in zip(x.shape[1:3], image))
    return jnp.where(rows.reshape(1, -1, 1, 1) & columns.reshape(1, 1, -1, 1), x, 0)


def mean(x: jax.Array, *, keepdims: bool = False) -> jax.Array:
    """The mean over the image's pixels of a map that is zero outside: [B, C], or [B, 1, 1, C]; added up in float32."""
    image = extent(x)
    if image is None:
        return x.mean(axis=(1, 2), dtype=jnp.float32, keepdims=keepdims).astype(x.dtype)
    total = x.sum(axis=(1, 2), dtype=jnp.float32, keepdims=keepdims)
    return (total / (image[0] * image[1])).astype(x.dtype)
