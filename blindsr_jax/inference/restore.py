"""One image through a model, whatever its kind: to floating-point RGB and back. Scores are measured on this."""

from __future__ import annotations

import functools
import logging
import typing

import jax.numpy as jnp
import numpy as np

from blindsr_jax.errors import DataError, OutOfMemory
from blindsr_jax.inference import memory
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.self_ensemble import average_of_eight
from blindsr_jax.inference.tiling import Tiles
from blindsr_jax.networks.unfolded import Unfolded
from blindsr_jax.ops.resize import imresize
from blindsr_jax.pictures import from_unit

if typing.TYPE_CHECKING:
    from blindsr_jax.inference.model import Model

SIDE = 512  # of tiles, in LR pixels, unless somebody says otherwise
_ROWS = 64  # of a band that are brought into the image's kind at once

log = logging.getLogger(__name__)


class Restored(typing.NamedTuple):
    """A restored image of the input's kind, and the kernel [K, K] and code [L] that the model found (or was given).

    Each is None for models without it.
    """

    image: np.ndarray | None
    kernel: np.ndarray | None
    code: np.ndarray | None


class Restoration(typing.NamedTuple):
    """An image whose rows are still to be restored, from top to bottom, so that nobody needs to hold them all.

    Attributes:
      shape, dtype: of the restored image, which is of the input's kind.
      bands: its rows, a few at a time; to be gone through once.
      kernel, code: see ``Restored``.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    bands: typing.Iterator[np.ndarray]
    kernel: np.ndarray | None
    code: np.ndarray | None


def restore_image(model: Model, image: np.ndarray, **options: typing.Any) -> Restored:
    """Restores one image; options, and what is raised, are those of ``restore_bands``."""
    pixels = Pixels(image)
    if not model.restores:
        return Restored(None, *_whole(model, pixels, **options)[1:])
    restoration = _restoration(model, pixels, **options)
    result, first = np.empty(restoration.shape, restoration.dtype), 0
    for band in restoration.bands:
        result[first : first + len(band)] = band
        first += len(band)
    return Restored(result, restoration.kernel, restoration.code)


def restore_bands(
    model: Model,
    image: np.ndarray,
    *,
    kernel: np.ndarray | None = None,
    iterations: int | None = None,
    self_ensemble: bool = False,
    tile: int | None = None,
    tiles_at_once: int = 1,
    image_only: bool = False,
    bounded: bool | None = None,
    dtype: np.dtype | None = None,
) -> Restoration:
    """Restores one image row by row. Grey images go through as grey RGB; alpha is enlarged by bicubic interpolation.

    The first rows come when there is something to write: what has to be known before, the kernel above all, is found in
    this call.

    Args:
      model, image, kernel, iterations, self_ensemble: see ``Model.restore``.
      tile: side of tiles in LR pixels; 0: none; by default none, unless the image does not fit into memory whole.
      tiles_at_once: tiles of one batch.
      image_only: see ``Model.__call__``, for models that have it; tiles do not need it.
      bounded: whether programs for which there is not enough memory are refused, see ``memory``, and tiles halved; by
        default if no tile is given.
      dtype: of the restored rows; by default the image's.

    Raises:
      DataError, OutOfMemory: as ``Model.restore``.
    """
    options = {"kernel": kernel, "iterations": iterations, "self_ensemble": self_ensemble, "bounded": bounded}
    options |= {"tile": tile, "tiles_at_once": tiles_at_once, "image_only": image_only, "dtype": dtype}
    return _restoration(model, Pixels(image), **options)


def _restoration(
    model: Model,
    pixels: Pixels,
    *,
    tile: int | None = None,
    tiles_at_once: int = 1,
    image_only: bool = False,
    bounded: bool | None = None,
    dtype: np.dtype | None = None,
    **options: typing.Any,
) -> Restoration:
    dtype = pixels.dtype if dtype is None else np.dtype(dtype)
    bounded = tile is None if bounded is None else bounded
    if not tile or max(pixels.size) <= tile:
        try:
            with memory.bounded(bounded):
                sr, *known = _whole(model, pixels, image_only=image_only, **options)
                return _of(pixels, model.scale, iter([sr]), dtype, *known)
        except OutOfMemory as error:
            if tile is not None or max(pixels.size) <= SIDE // 2 or getattr(model, "border", "") == "circular":
                raise
            log.warning("the whole image %s: restored in tiles (tile=0, --tile 0: whole all the same)", error)
            tile = min(SIDE, 2 ** (max(pixels.size) - 1).bit_length() // 2)
    options = {"kernel": None, "iterations": None} | options
    tiles = Tiles(model, pixels, tile, at_once=tiles_at_once, bounded=bounded, **options)
    first = [None if x is None else np.asarray(x)[0] for x in (tiles.kernel, tiles.code)]
    return _of(pixels, model.scale, tiles.bands(), dtype, *first)


def _whole(
    model: Model,
    pixels: Pixels,
    *,
    kernel: np.ndarray | None = None,
    iterations: int | None = None,
    self_ensemble: bool = False,
    image_only: bool = False,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """The restored image [sH, sW, 3], the kernel and its code, at once."""
    run = functools.partial(average_of_eight, model) if self_ensemble else model
    only = {"image_only": True} if image_only else {}
    output = run(pixels.rgb()[None], kernel=kernel, iterations=iterations, **only)
    return tuple(None if x is None else np.asarray(x)[0] for x in (output.sr, output.kernel, output.kernel_code))


def _of(
    pixels: Pixels,
    scale: int,
    bands: typing.Iterator[np.ndarray],
    dtype: np.dtype,
    kernel: np.ndarray | None,
    code: np.ndarray | None,
) -> Restoration:
    return Restoration(pixels.shape(scale), dtype, _finished(pixels, scale, bands, dtype), kernel, code)


def _finished(
    pixels: Pixels, scale: int, bands: typing.Iterator[np.ndarray], dtype: np.dtype
) -> typing.Iterator[np.ndarray]:
    """Restored rows [n, sW, 3] in the image's kind, a few at a time."""
    done = 0
    for band in bands:
        for first in range(0, len(band), _ROWS):
            part = band[first : first + _ROWS]
            yield pixels.finish(part, scale, done + first, dtype)
        done += len(band)


def restore_steps(model: Model, image: np.ndarray, steps: int | None = None) -> list[Restored]:
    """What ``restore_image`` gives after 1, 2 … unfolded steps, for the price of the longest.

    Args:
      model: an unfolded model, or KernelNet, whose steps are the coarse and the refined kernel.
      image: as for ``Model.restore``.
      steps: the largest number of steps; by default as in training.

    Raises:
      DataError: as ``Model.restore``.
    """
    pixels = Pixels(image)
    if model.restores and not isinstance(model.module, Unfolded):
        raise DataError(f"{type(model.module).__name__} unfolds no steps that could be told apart")
    trace = model(pixels.rgb()[None], iterations=steps, trace=True).trace
    images = None if trace.sr is None else np.asarray(model.module.reported(trace.sr))
    results = []
    for t in range(len(trace.kernel if images is None else images)):
        first = [None if x is None else np.asarray(x[t, 0]) for x in (trace.kernel, trace.kernel_code)]
        results.append(Restored(None if images is None else pixels.finish(images[t, 0], model.scale), *first))
    return results


def enlarge_bicubic(image: np.ndarray, scale: int) -> np.ndarray:
    """What every method is compared with: a uint8 [H, W, 3] image enlarged by MATLAB's bicubic, rounded to 8 bits."""
    return from_unit(np.asarray(imresize(jnp.asarray(image, jnp.float32)[None] / 255, scale))[0], np.dtype(np.uint8))
