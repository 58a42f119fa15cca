"""The context that the tiles of an image share: its blur and the means of channel attention.

The blur is estimated once. A DAN estimates it from small patches spread evenly over the image, and its means are taken
over all patches together. If the network has channel attention, a first pass over all tiles then measures the means
over the whole image that attention needs. These depend on the means in earlier blocks, which the first pass takes from
the patches. The result is therefore close to exact, but not exact: see ``docs/models.md``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import typing

import flax.linen as nn
import jax
import numpy as np

from blindsr_jax.errors import OutOfMemory
from blindsr_jax.inference import all_cores, programs
from blindsr_jax.inference.inputs import memory_errors
from blindsr_jax.inference.memory import checked
from blindsr_jax.inference.padded_shapes import padded, valid_size_of
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.programs import Means, Variables
from blindsr_jax.inference.tile_policy import WHOLE
from blindsr_jax.networks.region import Region
from blindsr_jax.networks.unfolded import Unfolded

_PATCH, _EDGE = 64, 8  # LR pixels: the side of a patch, and its border, which means leave out
_COUNT = 64  # patches of every image, small or large, so that one program serves all


@dataclasses.dataclass(frozen=True)
class TileContext:
    """Facts about a whole image that all its tiles share.

    Attributes:
      kernel: [1, K, K], estimated or given; None for networks without a kernel.
      kernel_code: [1, L], the kernel's code; None for networks without codes.
      iterations: number of unfolded steps for a tile; None for the number used in training.
      last_code: [1, L], the code of a DAN's second-to-last step. From it the DAN restores tiles in a single step. For
        a RealDAN, the codes of all steps. None for models that restore tiles like whole images.
      means: channel attention's means over the image, by module; empty for networks without attention.
      pooled: [1, N, N, C] by name, the means of maps that a network restores with, see ``networks.pooled``.
    """

    kernel: np.ndarray | None = None
    kernel_code: np.ndarray | None = None
    iterations: int | None = None
    last_code: np.ndarray | None = None
    means: Means = dataclasses.field(default_factory=dict)
    pooled: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


def context_of_patches(
    module: nn.Module,
    variables: Variables,
    pixels: Pixels,
    *,
    kernel: np.ndarray | None,
    iterations: int | None,
) -> TileContext:
    """Estimate a DAN's context of an image from as many patches as fit into memory.

    Args:
      module, variables: the DAN.
      pixels: the image.
      kernel: [1, K, K], or None to estimate it.
      iterations: number of unfolded steps of the estimate.

    Raises:
      OutOfMemory: not even one patch fits.
    """
    given = {} if kernel is None else {"kernel": kernel}
    if all_cores.share(module, (_PATCH, _PATCH)):
        module, variables = all_cores.on_all_cores(module, variables)

    def measure(images: np.ndarray, windows: np.ndarray) -> TileContext:
        region = Region(valid_size_of(images), windows)
        arguments = module, variables, padded((_PATCH, _PATCH), images), region, given
        found = checked(programs.estimate_from_patches, *arguments, iterations=iterations)
        kernel, code, last_code, means = jax.device_get(found)
        return TileContext(kernel, code, iterations, last_code, means)

    return from_patches(pixels, measure)


def context_of_steps(module: Unfolded, variables: Variables, pixels: Pixels, *, iterations: int | None) -> TileContext:
    """Find the codes of all steps of an image, for networks of the fact ``shares_code``.

    They are those of the whole image, up to ``tile_policy.WHOLE`` pixels and if memory allows; otherwise of patches.

    Raises:
      OutOfMemory: not even one patch fits.
    """

    def measure(images: np.ndarray, windows: np.ndarray | None) -> TileContext:
        region = None if windows is None else Region(None, windows)
        arguments = module, variables, images, region
        found = jax.device_get(checked(programs.codes_of_steps, *arguments, iterations=iterations))
        kernel, code, codes = found
        return TileContext(kernel, code, iterations, codes)

    if math.prod(pixels.size) <= WHOLE:
        image = pixels.rgb()[None]
        with contextlib.suppress(OutOfMemory), memory_errors(image):
            return measure(image, None)
    return from_patches(pixels, measure)


def from_patches(pixels: Pixels, measure: typing.Callable[[np.ndarray, np.ndarray], TileContext]) -> TileContext:
    """Measure the context of an image on as many of its ``patches`` as fit into memory.

    Args:
      pixels: the image.
      measure: (patches [B, h, w, 3], windows [B, 4]) -> context.

    Raises:
      OutOfMemory: not even one patch fits.
    """
    count = _COUNT
    while True:
        images, windows = patches(pixels, count)
        try:
            with memory_errors(images):
                return measure(images, windows)
        except OutOfMemory:
            if count == 1:
                raise
            count //= 4


def patches(pixels: Pixels, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut patches that are spread evenly over an image; its aspect ratio decides the number of rows.

    Args:
      pixels: the image.
      count: number of patches, a power of two.

    Returns:
      The patches [B, h, w, 3] and their windows [B, 4], see ``networks.region``.
    """
    height, width = pixels.size
    aspect = math.log2(count * height / width) / 2
    down = 2 ** int(np.clip(round(aspect), 0, math.log2(count)))
    sides = min(height, _PATCH), min(width, _PATCH)
    tops, lefts = (
        np.linspace(0, length - side, number).round().astype(int)
        for length, side, number in zip(pixels.size, sides, (down, count // down))
    )
    found = [pixels.rgb(slice(y, y + sides[0]), slice(x, x + sides[1])) for y in tops for x in lefts]
    edges = [_EDGE if side == _PATCH else 0 for side in sides]
    window = [edges[0], sides[0] - edges[0], edges[1], sides[1] - edges[1]]
    return np.stack(found), np.array([window] * len(found), np.int32)


def restore_in_context(
    module: nn.Module,
    variables: Variables,
    tiles: np.ndarray,
    windows: np.ndarray,
    context: TileContext,
    *,
    side: int,
) -> tuple[np.ndarray, Means]:
    """Restore tiles with a DAN, given the code and the means of their image.

    Args:
      module, variables: the DAN.
      tiles: [B, h, w, 3]. They are padded to ``side`` by ``side`` pixels, so all tiles of all images share a program.
      windows: [B, 4], the parts of the tiles to measure means in, see ``networks.region``.
      context: from ``context_of_patches``.
      side: at least h and w.

    Returns:
      The restored tiles [B, s·h, s·w, 3], and channel attention's means in the windows.
    """
    code = np.broadcast_to(context.last_code, (len(tiles), context.last_code.shape[1]))
    shape, region, mesh = (side, side), Region(valid_size_of(tiles), windows), None
    if all_cores.tiles_side_by_side(module, len(tiles)):
        mesh = all_cores.each_core()
    elif all_cores.share(module, shape):
        module, variables = all_cores.on_all_cores(module, variables)
        shape = all_cores.even_shape(shape)
    images = padded(shape, tiles)
    with memory_errors(images):
        arguments = module, variables | {"means": context.means}, images, region, code
        sr, means = jax.device_get(checked(programs.restore_tiles, *arguments, mesh=mesh))
    if mesh is not None:
        means = _over_all_windows(means, windows, mesh.size)
    height, width = (module.scale * length for length in tiles.shape[1:3])
    return sr[:, :height, :width], means


def _over_all_windows(means: Means, windows: np.ndarray, parts: int) -> Means:
    """Average the means of parts of a batch, by the area of their windows; a part without any counts for nothing."""
    areas = np.prod(windows[:, 1::2] - windows[:, ::2], axis=1).reshape(parts, -1).sum(axis=1)
    shares = areas / areas.sum()

    def average(of_parts: np.ndarray) -> np.ndarray:
        each = of_parts.reshape(parts, -1, *of_parts.shape[1:])
        return sum(share * one for share, one in zip(shares, each) if share)

    return jax.tree.map(average, means)


def whole_windows(tiles: np.ndarray) -> np.ndarray:
    """Windows [B, 4] that cover each tile entirely."""
    return np.array([[0, tiles.shape[1], 0, tiles.shape[2]]] * len(tiles), np.int32)
