"""The context of an image's tiles for networks that restore with means over the whole image: see ``networks.pooled``.

The means come first, from parts of the image that overlap by what a map sees. They equal those of the whole image, so
kernel, code and filters do as well. Channel attention's means then follow as for a DAN: those of patches, and of all
tiles.
"""

from __future__ import annotations

import itertools

import jax
import numpy as np

from blindsr_jax.inference import programs
from blindsr_jax.inference.inputs import memory_errors
from blindsr_jax.inference.memory import checked
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.programs import Means, Variables
from blindsr_jax.inference.tile_context import TileContext, from_patches
from blindsr_jax.inference.tile_plan import cores, plan
from blindsr_jax.networks.pooled import Pooled, PooledOnePass, Pooling
from blindsr_jax.ops.pooling import bin_weights

_PART = 512  # LR pixels: side of the parts whose maps are computed at once


def pooled_means(module: PooledOnePass, variables: Variables, pixels: Pixels, part: int = _PART) -> Pooled:
    """Compute the means of a network's maps over an image of any size: [1, N, N, C] by name.

    Args:
      module, variables: the network.
      pixels: the image.
      part: side of the parts in LR pixels, more than twice the network's ``reach``.

    Raises:
      OutOfMemory: a part does not fit into memory.
    """
    stride = module.stride  # parts begin at pixels that maps have: in units of their pixels
    sizes = [-(-length // stride) for length in pixels.size]
    side, overlap = part // stride, 2 * -(-module.reach // stride)
    axes = [list(zip(plan(length, side, overlap), cores(length, side, overlap))) for length in sizes]
    total: Pooled = {}
    for places in itertools.product(*axes):
        rows, columns = (slice(stride * start, stride * (start + side)) for start, _ in places)
        image = pixels.rgb(rows, columns)[None]
        weights = {
            name: tuple(
                _weights_of_part(pooling, length, start, -(-size // stride), core)
                for length, (start, core), size in zip(sizes, places, image.shape[1:3])
            )
            for name, pooling in module.poolings.items()
        }
        with memory_errors(image):
            share = jax.device_get(checked(programs.part_of_pooled, module, variables, image, weights))
        total = {name: share[name] + total.get(name, np.float64(0)) for name in share}
    return {name: np.asarray(mean, np.float32) for name, mean in total.items()}


def pooled_context(module: PooledOnePass, variables: Variables, pixels: Pixels) -> TileContext:
    """Compute the context of an image: means of maps, what they give, and channel attention's means.

    Raises:
      OutOfMemory: a part of the image, or a single patch of it, does not fit into memory.
    """
    pooled = pooled_means(module, variables, pixels)
    kernel, code = jax.device_get(programs.found_in_pooled(module, variables, pooled))

    def measure(patches: np.ndarray, windows: np.ndarray) -> TileContext:
        found = checked(programs.restore_with_pooled, module, variables, patches, windows, pooled)
        return TileContext(kernel, code, pooled=pooled, means=jax.device_get(found[1]))

    return from_patches(pixels, measure)


def restore_pooled(
    module: PooledOnePass, variables: Variables, tiles: np.ndarray, windows: np.ndarray, context: TileContext
) -> tuple[np.ndarray, Means]:
    """Restore tiles [B, h, w, 3] in the context of their image, see ``tile_context.restore_in_context``."""
    variables = variables | {"means": context.means}
    with memory_errors(tiles):
        return jax.device_get(checked(programs.restore_with_pooled, module, variables, tiles, windows, context.pooled))


def _weights_of_part(pooling: Pooling, length: int, start: int, size: int, core: tuple[int, int]) -> np.ndarray:
    """The weights, along one axis, of the map of a part, which begins at a pixel and counts the pixels of a core.

    Lengths and places are those of a map that has its border.
    """
    border = pooling.border
    first, last = (place - border for place in core)
    whole = bin_weights(length - 2 * border, pooling.bins, start=first, stop=last)
    return whole[:, start : start + size - 2 * border]
