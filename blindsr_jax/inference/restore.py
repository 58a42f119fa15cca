"""One image through a model, whatever its kind: to floating-point RGB and back. Scores are measured on this."""

from __future__ import annotations

import functools
import logging
import typing

import jax.numpy as jnp
import numpy as np

from blindsr_jax.errors import DataError, OutOfMemory
from blindsr_jax.inference import memory
from blindsr_jax.inference.padded_shapes import shared_shapes
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restorer import Restorer
from blindsr_jax.inference.self_ensemble import average_of_eight
from blindsr_jax.inference.tile_policy import SIDE, Tile, side_without_memory, tile_side, usual_batch
from blindsr_jax.inference.tiling import Tiles
from blindsr_jax.ops.resize import imresize
from blindsr_jax.pictures import from_unit

_ROWS = 64  # of a band that are brought into the image's kind at once

log = logging.getLogger(__name__)


class Restored(typing.NamedTuple):
    """A restored image of the input's kind, and the kernel [K, K] and code [L] that the model found or was given.

    Each is None for models without it.
    """

    image: np.ndarray | None
    kernel: np.ndarray | None
    kernel_code: np.ndarray | None


class RestoredBands(typing.NamedTuple):
    """An image whose rows are restored from top to bottom as they are asked for, so that they need not all be held.

    Attributes:
      shape, dtype: of the restored image, which is of the input's kind.
      bands: its rows, a few at a time, once.
      kernel, kernel_code: see ``Restored``.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    bands: typing.Iterator[np.ndarray]
    kernel: np.ndarray | None
    kernel_code: np.ndarray | None


class RestoresImages:
    """The method that models, solvers at a scale and pipelines share."""

    def restore(
        self: Restorer,
        image: np.ndarray,
        *,
        kernel: np.ndarray | None = None,
        iterations: int | None = None,
        self_ensemble: bool = False,
        tile: Tile = "auto",
        tiles_at_once: int | None = None,
    ) -> np.ndarray:
        """One image, s times larger, of the same kind.

        Args:
          image: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] (the last channel alpha); uint8, uint16, or float in [0, 1].
          kernel: the blur kernel [K, K] if it is known, else it is estimated.
          iterations: unfolded steps; by default as in training.
          self_ensemble: the mean over the image's eight flips and turns, which takes eight times as long.
          tile: ``"auto"``: whole up to 2²⁰ LR pixels if there is memory for it, else in overlapping tiles of 512×512;
            N: in tiles of N×N pixels; 0: whole.
          tiles_at_once: tiles in one batch; by default 1 on a CPU, else those of a megapixel.

        Returns:
          [s·H, s·W] with the same channels and type.

        Raises:
          DataError: another shape or type, or values that are not finite or not in [0, 1]; the model estimates kernels
            only; or an option does not suit it.
          OutOfMemory: there is not enough memory, even for the smallest tiles.
        """
        if not self.restores:
            raise DataError(f"{self.network} restores no image: call the model for its kernel")
        restored = restore_image(
            self,
            image,
            kernel=kernel,
            iterations=iterations,
            self_ensemble=self_ensemble,
            tile=tile,
            tiles_at_once=tiles_at_once,
            image_only=True,
        )
        return restored.image


def restore_image(
    model: Restorer,
    image: np.ndarray,
    *,
    kernel: np.ndarray | None = None,
    iterations: int | None = None,
    self_ensemble: bool = False,
    tile: Tile = "auto",
    tiles_at_once: int | None = None,
    image_only: bool = False,
) -> Restored:
    """Restores one image, or finds its kernel if the model does only that; arguments and errors: ``restore_bands``."""
    if not model.restores:
        return _estimated(model, Pixels(image), kernel, iterations, self_ensemble, tile)
    restored = restore_bands(
        model,
        image,
        kernel=kernel,
        iterations=iterations,
        self_ensemble=self_ensemble,
        tile=tile,
        tiles_at_once=tiles_at_once,
        image_only=image_only,
    )
    result, first = np.empty(restored.shape, restored.dtype), 0
    for band in restored.bands:
        result[first : first + len(band)] = band
        first += len(band)
    return Restored(result, restored.kernel, restored.kernel_code)


def restore_bands(
    model: Restorer,
    image: np.ndarray,
    *,
    kernel: np.ndarray | None = None,
    iterations: int | None = None,
    self_ensemble: bool = False,
    tile: Tile = "auto",
    tiles_at_once: int | None = None,
    image_only: bool = False,
    dtype: np.typing.DTypeLike | None = None,
) -> RestoredBands:
    """Restores one image row by row. Grey images go through as grey RGB; alpha is enlarged by bicubic interpolation.

    Whatever has to be known before the first row, the kernel above all, is found in this call.

    Args:
      model: one that restores.
      image, kernel, iterations, self_ensemble, tile, tiles_at_once: see ``RestoresImages.restore``. With ``"auto"`` a
        program for which there is not enough memory is not run: see ``memory``.
      image_only: leave the kernel out, which saves a little time where the image is restored whole.
      dtype: of the restored rows; by default the image's.

    Raises:
      DataError, OutOfMemory: as ``RestoresImages.restore``.
    """
    pixels = Pixels(image)
    dtype, bounded = pixels.dtype if dtype is None else np.dtype(dtype), tile == "auto"
    side = tile_side(pixels.size, tile, model.whole_only)
    if not side:
        try:
            with memory.bounded(bounded):
                sr, *known = _whole(model, pixels, kernel, iterations, self_ensemble, image_only)
                return _as_bands(pixels, model.scale, iter([sr]), dtype, *known)
        except OutOfMemory as error:
            if tile != "auto" or max(pixels.size) <= SIDE // 2 or model.whole_only:
                raise
            log.warning("the whole image %s: restored in tiles (tile=0, --tile 0: whole all the same)", error)
            side = side_without_memory(pixels.size)
    tiles = Tiles(
        model,
        pixels,
        side,
        kernel=kernel,
        iterations=iterations,
        self_ensemble=self_ensemble,
        at_once=tiles_at_once or usual_batch(side),
        bounded=bounded,
    )
    first = [None if x is None else np.asarray(x)[0] for x in (tiles.kernel, tiles.kernel_code)]
    return _as_bands(pixels, model.scale, tiles.bands(), dtype, *first)


def restore_steps(model: Restorer, image: np.ndarray, steps: int | None = None) -> list[Restored]:
    """The results of ``restore_image`` after 1, 2 … unfolded steps, whole, for the price of the longest.

    Args:
      model: an unfolded model, or KernelNet, whose steps are the coarse and the refined kernel.
      image: as for ``RestoresImages.restore``.
      steps: the largest number of steps; by default as in training.

    Raises:
      DataError: as ``restore_image``; or the model unfolds no steps.
    """
    pixels = Pixels(image)
    if not model.restores:
        trace = model.estimate(pixels, iterations=steps, trace=True).trace
        return [Restored(None, np.asarray(kernel[0]), None) for kernel in trace.kernel]
    if not model.unfolds:
        raise DataError(f"{model.network} unfolds no steps that could be told apart")
    trace = model(pixels.rgb()[None], iterations=steps, trace=True).trace
    results = []
    for t, sr in enumerate(np.asarray(model.reported(trace.sr))):
        known = [None if x is None else np.asarray(x[t, 0]) for x in (trace.kernel, trace.kernel_code)]
        results.append(Restored(pixels.finish(sr[0], model.scale), *known))
    return results


def share_programs(
    model: Restorer, sizes: typing.Sequence[tuple[int, int]], *, tile: Tile = "auto", self_ensemble: bool = False
) -> Restorer:
    """The model for a set of pictures, which then take at most three compiled programs if it takes padding.

    Args:
      model: one that restores.
      sizes: heights and widths of the pictures.
      tile, self_ensemble: with which they will be restored.
    """
    if not model.takes_padding:
        return model
    whole = [size for size in sizes if not tile_side(size, tile, model.whole_only)]
    shapes = shared_shapes(whole, tiled=len(whole) < len(sizes), turned=self_ensemble)
    return model.padded_to(shapes) if shapes else model


def enlarge_bicubic(image: np.ndarray, scale: int) -> np.ndarray:
    """A uint8 [H, W, 3] image enlarged by MATLAB's bicubic, rounded to 8 bits: what every method is compared with."""
    return from_unit(np.asarray(imresize(jnp.asarray(image, jnp.float32)[None] / 255, scale))[0], np.dtype(np.uint8))


def _estimated(
    model: Restorer,
    pixels: Pixels,
    kernel: np.ndarray | None,
    iterations: int | None,
    self_ensemble: bool,
    tile: Tile,
) -> Restored:
    """The kernel of an image by a model that restores none; of a large one by the model's own choice of a part."""
    if tile_side(pixels.size, tile) and not self_ensemble and kernel is None:
        return Restored(None, np.asarray(model.estimate(pixels, iterations=iterations).kernel[0]), None)
    return Restored(*_whole(model, pixels, kernel, iterations, self_ensemble, False))


def _whole(
    model: Restorer,
    pixels: Pixels,
    kernel: np.ndarray | None,
    iterations: int | None,
    self_ensemble: bool,
    image_only: bool,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """The restored image [sH, sW, 3], the kernel and its code, at once."""
    run = functools.partial(average_of_eight, model) if self_ensemble else model
    output = run(pixels.rgb()[None], kernel=kernel, iterations=iterations, image_only=image_only)
    return tuple(None if x is None else np.asarray(x)[0] for x in (output.sr, output.kernel, output.kernel_code))


def _as_bands(
    pixels: Pixels,
    scale: int,
    bands: typing.Iterator[np.ndarray],
    dtype: np.dtype,
    kernel: np.ndarray | None,
    kernel_code: np.ndarray | None,
) -> RestoredBands:
    return RestoredBands(pixels.shape(scale), dtype, _finished(pixels, scale, bands, dtype), kernel, kernel_code)


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
