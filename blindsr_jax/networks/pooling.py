"""Means over a whole image, also where a network sees only parts of it.

Channel attention (DANv1 and compact DANs) and all Estimators average over the image. In ``as_one_image`` a batch is
parts of one image, and averages are over all of them. What channel attention finds there can be told to a network that
sees only a tile, as the collection ``means``: applied with ``mutable=["means"]`` a network notes its means there, and
if the collection is among its variables it uses those instead of its own.
"""

from __future__ import annotations

import contextlib
import contextvars
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.networks import canvas

_WINDOWS: contextvars.ContextVar[jax.Array | None] = contextvars.ContextVar("windows", default=None)


@contextlib.contextmanager
def as_one_image(windows: jax.Array) -> typing.Iterator[None]:
    """While a network is traced in this block, a batch is parts of one image, for which its means stand.

    Args:
      windows: [B, 4], first and last but one row and column of what counts in each part, in LR pixels; not all empty.
    """
    token = _WINDOWS.set(windows)
    try:
        yield
    finally:
        _WINDOWS.reset(token)


def mean(x: jax.Array) -> jax.Array:
    """The mean of each image of a map, [B, 1, 1, C]; in ``as_one_image`` that of the windows, the same for all."""
    windows = _WINDOWS.get()
    if windows is None:
        return canvas.mean(x, keepdims=True)
    top, bottom, left, right = (windows[:, i, None] for i in range(4))
    rows, columns = (jnp.arange(length)[None] for length in x.shape[1:3])
    inside = ((rows >= top) & (rows < bottom))[:, :, None] & ((columns >= left) & (columns < right))[:, None]
    total = jnp.where(inside[..., None], x, 0).sum(axis=(0, 1, 2), dtype=jnp.float32)
    found = total / ((bottom - top) * (right - left)).sum()
    return jnp.broadcast_to(found.astype(x.dtype), (x.shape[0], 1, 1, x.shape[3]))


def told_mean(module: nn.Module, x: jax.Array) -> jax.Array:
    """A module's ``mean``, or the one it is told; its own is noted where notes are taken."""
    found = mean(x)
    told = module.get_variable("means", "of_image")
    if module.is_mutable_collection("means") and not module.is_initializing():
        module.put_variable("means", "of_image", found[:1].astype(jnp.float32))
    return found if told is None else jnp.broadcast_to(told.astype(x.dtype), found.shape)
