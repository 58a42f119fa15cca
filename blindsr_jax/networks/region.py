"""Regions: the valid pixels of a batch of padded images, or of tiles of one image.

With padding, one compiled program serves images of many sizes, and each image gets the same result as alone. A padded
image lies in the upper left corner of its map, and its size is known at run time. Convolutions pad with zeros. So the
result inside the image is the same as for the image alone if every map that a convolution reads is zero outside the
image. Layers that accept a ``region`` ensure this with ``mask_outside``, and average with ``mean``.

Each layer takes the region as an argument beside the map. Without a region (None), nothing is added to the compiled
program. A module without this argument is never called with one: ``accepts_region`` inspects its signature.

A batch may also consist of bands of one image, see ``networks.bands``.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing

import flax.struct
import jax
import jax.numpy as jnp

from blindsr_jax.ops.resize import ValidSize


@flax.struct.dataclass
class Region:
    """The valid pixels of a map [B, H, W, C]. The arrays may be tracers.

    Attributes:
      valid_size: height and width of the images in the map, each from 1 to the map's; None if the images fill the map.
      windows: int32 [B, 4], half-open [top, bottom), [left, right) of each image, in the map's pixels; not all empty.
        If given, the batch consists of tiles of one image, and means are taken over all windows together.
      bands: if more than 1, the batch consists of so many bands of rows of one image, from the top to the bottom. The
        valid size is that of the image, and there are no windows.
    """

    valid_size: ValidSize | None = None
    windows: jax.Array | None = None
    bands: int = flax.struct.field(pytree_node=False, default=1)

    def enlarged(self, scale: int) -> Region:
        """Return the region of a map ``scale`` times as large."""
        size, windows = self.valid_size, self.windows
        return dataclasses.replace(
            self,
            valid_size=None if size is None else (size[0] * scale, size[1] * scale),
            windows=None if windows is None else windows * scale,
        )


def accepts_region(part: typing.Callable[..., typing.Any]) -> bool:
    """Whether a module or a function has a parameter ``region``."""
    return "region" in inspect.signature(part).parameters


def optional(region: Region | None) -> dict[str, Region]:
    """Return the keyword argument ``region``, or none if it is None, for modules without that parameter."""
    return {} if region is None else {"region": region}


def enlarged(region: Region | None, scale: int) -> Region | None:
    """Apply ``Region.enlarged``; None stays None."""
    return None if region is None else region.enlarged(scale)


def halved(region: Region | None) -> Region | None:
    """Return the region of a map after a step of two pixels, whose first pixel is the map's; None stays None."""
    if region is None:
        return None
    size, windows = region.valid_size, region.windows
    return dataclasses.replace(
        region,
        valid_size=None if size is None else ((size[0] + 1) // 2, (size[1] + 1) // 2),
        windows=None if windows is None else (windows + 1) // 2,
    )


def valid_size(region: Region | None) -> ValidSize | None:
    """Return the height and width of padded images, or None without padding."""
    return None if region is None else region.valid_size


def number_of_bands(region: Region | None) -> int:
    """Return the number of bands of one image in the batch; 1 for a batch of images or tiles."""
    return 1 if region is None else region.bands


def mask_outside(x: jax.Array, region: Region | None) -> jax.Array:
    """Set the map [B, H, W, C] to zero outside padded images. Without padding, return the same array."""
    size, bands = valid_size(region), number_of_bands(region)
    if size is None:
        return x
    rows, columns = (jnp.arange(length) < end for length, end in zip((bands * x.shape[1], x.shape[2]), size))
    return jnp.where(rows.reshape(bands, -1, 1, 1) & columns.reshape(1, 1, -1, 1), x, 0)


def mean(x: jax.Array, region: Region | None) -> jax.Array:
    """Average each image over its pixels, or all images over their windows, accumulating in float32.

    Args:
      x: [B, H, W, C], zero outside padded images.
      region: region of the map.

    Returns:
      [B, 1, 1, C]; with windows, the same value for all images; for bands, [1, 1, 1, C].
    """
    if region is not None and region.windows is not None:
        return _mean_of_windows(x, region.windows)
    size, axes = valid_size(region), (1, 2) if number_of_bands(region) == 1 else (0, 1, 2)
    if size is None:
        return x.mean(axis=axes, dtype=jnp.float32, keepdims=True).astype(x.dtype)
    total = x.sum(axis=axes, dtype=jnp.float32, keepdims=True)
    return (total / (size[0] * size[1])).astype(x.dtype)


def _mean_of_windows(x: jax.Array, windows: jax.Array) -> jax.Array:
    top, bottom, left, right = (windows[:, i, None] for i in range(4))
    rows, columns = (jnp.arange(length)[None] for length in x.shape[1:3])
    inside = ((rows >= top) & (rows < bottom))[:, :, None] & ((columns >= left) & (columns < right))[:, None]
    total = jnp.where(inside[..., None], x, 0).sum(axis=(0, 1, 2), dtype=jnp.float32)
    found = total / ((bottom - top) * (right - left)).sum()
    return jnp.broadcast_to(found.astype(x.dtype), (x.shape[0], 1, 1, x.shape[3]))
