"""Bands of rows of one image as a batch: the same result, in a form that suits the matrix units of TPUs.

A TPU computes eight maps of 64×512 pixels in 0.4 of the cycles of one map of 512×512 (``docs/scaling.md``). So a
``Chain`` of blocks cuts the map of a single image into bands, one below the other, and makes them a batch. A
convolution of a band reads a few rows of its neighbours. Means are taken over all bands.
"""

from __future__ import annotations

import dataclasses
import typing

import jax
import jax.numpy as jnp

from blindsr_jax.networks.region import Region, number_of_bands

_LEAST = 8  # rows of a band

Map = jax.Array


def region_of_bands(x: Map, region: Region | None, bands: int) -> Region | None:
    """Return the region of an image's map as a batch of bands, or None if it is better left whole.

    Args:
      x: [B, H, W, C].
      region: region of x.
      bands: their number. Rows of zeros are added to the map if they do not divide it.
    """
    whole = region or Region()
    height, width = x.shape[1:3]
    if len(x) > 1 or whole.bands > 1 or whole.windows is not None or bands < 2 or height < bands * _LEAST:
        return None
    if height % bands and whole.valid_size is None:
        whole = dataclasses.replace(whole, valid_size=(height, width))
    return dataclasses.replace(whole, bands=bands)


def cut(x: Map, region: Region | None) -> Map:
    """Cut a map [1, H, W, C] into the bands of a region, [N, ⌈H / N⌉, W, C]; without bands, return the map."""
    bands = number_of_bands(region)
    if bands == 1:
        return x
    rows = -(-x.shape[1] // bands)
    return jnp.pad(x, ((0, 0), (0, bands * rows - x.shape[1]), (0, 0), (0, 0))).reshape(bands, rows, *x.shape[2:])


def joined(x: Map, height: int) -> Map:
    """Join bands to the map [1, height, W, C] that they were cut from."""
    return x.reshape(1, -1, *x.shape[2:])[:, :height]


def across(convolve: typing.Callable[[Map], Map], x: Map, region: Region | None, reach: int) -> Map:
    """Convolve bands as the image that they were cut from; without bands, call the function.

    Args:
      convolve: keeps the size of maps [B, H, W, C], and pads them with zeros.
      x: the map.
      region: region of x.
      reach: rows above and below a pixel that the convolution reads.
    """
    if number_of_bands(region) == 1 or reach == 0:
        return convolve(x)
    above = jnp.pad(x[:-1, -reach:], ((1, 0), (0, 0), (0, 0), (0, 0)))
    below = jnp.pad(x[1:, :reach], ((0, 1), (0, 0), (0, 0), (0, 0)))
    return convolve(jnp.concatenate([above, x, below], axis=1))[:, reach:-reach]
