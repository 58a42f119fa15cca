"""Which pixels of a batch count: images padded to a common shape, and parts of one image.

One compiled program then serves images of many sizes, and each gets the numbers that it would get alone. A padded image
lies in the upper left corner of its map, and its size is known at run time. Convolutions pad with zeros. So a network
computes inside of the image what it would compute on the image alone, if each map that a convolution reads is zero
outside of the image. Layers that take a ``region`` see to it by ``mask_outside``, and average by ``mean``.

A region is an argument of each layer, next to the map. Without one (None) nothing is added to the compiled program. A
part of a network that has no such argument is never called with one: ``accepts_region`` looks at its signature.
"""

from __future__ import annotations

import inspect
import typing

import jax
import jax.numpy as jnp

from blindsr_jax.ops.resize import ValidSize


class Region(typing.NamedTuple):
    """The pixels of a map [B, H, W, C] that count. Its arrays may be tracers.

    Attributes:
      valid_size: height and width of the images in the map, each at least 1 and at most the map's; None if the images
        fill it.
      windows: int32 [B, 4], half-open: [top, bottom), [left, right) of each image, in LR pixels; not all empty. If
        given, the batch is parts of one image, and means are those of all windows together.
    """

    valid_size: ValidSize | None = None
    windows: jax.Array | None = None

    def enlarged(self, scale: int) -> Region:
        """The region of a map ``scale`` times as large. It has no windows, since they are in LR pixels."""
        size = self.valid_size
        return Region(None if size is None else (size[0] * scale, size[1] * scale))


def accepts_region(part: typing.Callable[..., typing.Any]) -> bool:
    """Whether a module or a function has an argument ``region``."""
    return "region" in inspect.signature(part).parameters


def optional(region: Region | None) -> dict[str, Region]:
    """The keyword argument ``region`` if there is one, for parts of a network that need not have it."""
    return {} if region is None else {"region": region}


def enlarged(region: Region | None, scale: int) -> Region | None:
    """See ``Region.enlarged``."""
    return None if region is None else region.enlarged(scale)


def valid_size(region: Region | None) -> ValidSize | None:
    """Height and width of padded images, for resizing; None if there is no padding."""
    return None if region is None else region.valid_size


def mask_outside(x: jax.Array, region: Region | None) -> jax.Array:
    """The map [B, H, W, C] with zeros outside of padded images; the map itself if there is no padding."""
    size = valid_size(region)
    if size is None:
        return x
    rows, columns = (jnp.arange(length) < end for length, end in zip(x.shape[1:3], size))
    return jnp.where(rows.reshape(1, -1, 1, 1) & columns.reshape(1, 1, -1, 1), x, 0)


def mean(x: jax.Array, region: Region | None) -> jax.Array:
    """The mean of each image over its pixels, or over all windows, added up in float32.

    Args:
      x: [B, H, W, C], zero outside of padded images.
      region: of the map.

    Returns:
      [B, 1, 1, C]; with windows the same for all.
    """
    if region is not None and region.windows is not None:
        return _mean_of_windows(x, region.windows)
    size = valid_size(region)
    if size is None:
        return x.mean(axis=(1, 2), dtype=jnp.float32, keepdims=True).astype(x.dtype)
    total = x.sum(axis=(1, 2), dtype=jnp.float32, keepdims=True)
    return (total / (size[0] * size[1])).astype(x.dtype)


def _mean_of_windows(x: jax.Array, windows: jax.Array) -> jax.Array:
    top, bottom, left, right = (windows[:, i, None] for i in range(4))
    rows, columns = (jnp.arange(length)[None] for length in x.shape[1:3])
    inside = ((rows >= top) & (rows < bottom))[:, :, None] & ((columns >= left) & (columns < right))[:, None]
    total = jnp.where(inside[..., None], x, 0).sum(axis=(0, 1, 2), dtype=jnp.float32)
    found = total / ((bottom - top) * (right - left)).sum()
    return jnp.broadcast_to(found.astype(x.dtype), (x.shape[0], 1, 1, x.shape[3]))
