"""Restore one image of any kind: convert it to floating-point RGB, apply the model, and convert the result back.

Python, the commands, the page and the evaluation all restore images through this module.
"""

from __future__ import annotations

import functools
import logging
import typing

import jax.numpy as jnp
import numpy as np

from blindsr_jax.errors import DataError, OutOfMemory
from blindsr_jax.inference import memory
from blindsr_jax.inference.arrays import as_array
from blindsr_jax.inference.back_projection import back_projected, check_back_projection
from blindsr_jax.inference.padded_shapes import shared_shapes
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restorer import Restorer
from blindsr_jax.inference.self_ensemble import average_of_eight
from blindsr_jax.inference.shrinking import Shrink, checked_factor, enlarged_rows, shrunk
from blindsr_jax.inference.tile_policy import SIDE, Tile, side_without_memory, tile_side
from blindsr_jax.inference.tiling import Tiles, usual_batch
from blindsr_jax.ops.resize import imresize
from blindsr_jax.pictures import from_unit

_ROWS = 64  # rows that are converted to the image's kind at once

log = logging.getLogger(__name__)


class Restored(typing.NamedTuple):
    """A restored image of the input's kind, and the kernel [K, K] and code [L] that the model estimated or was given.

    Fields that a model does not produce are None. ``shrunk`` is the factor by which the picture was shrunk first.
    """

    image: np.ndarray | None
    kernel: np.ndarray | None
    kernel_code: np.ndarray | None
    shrunk: int = 1


class RestoredBands(typing.NamedTuple):
    """An image that is restored from top to bottom as its bands are requested, so it need not fit into memory.

    Attributes:
      shape, dtype: shape and type of the restored image, which is of the input's kind.
      bands: iterator over the restored rows, a few at a time.
      kernel, kernel_code, shrunk: see ``Restored``.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    bands: typing.Iterator[np.ndarray]
    kernel: np.ndarray | None
    kernel_code: np.ndarray | None
    shrunk: int = 1


class RestoresImages:
    """The method ``restore``, which models, solvers at a scale and pipelines share."""

    def restore(
        self: Restorer,
        image: np.ndarray,
        *,
        kernel: np.ndarray | None = None,
        iterations: int | None = None,
        self_ensemble: bool = False,
        tile: Tile = "auto",
        tiles_at_once: int | None = None,
        shrink: Shrink = 1,
        same_size: bool = False,
        back_project: int = 0,
    ) -> np.ndarray:
        """Restore one image: the result is s times larger and of the same kind.

        Args:
          image: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] (the last channel is alpha); uint8, uint16, or float in
            [0, 1], of which it may leave 0.1. Or a Pillow image in grey, RGB or a palette, with or without alpha.
          kernel: the blur kernel [K, K], or None to estimate it.
          iterations: number of unfolded steps; by default that of training.
          self_ensemble: return the mean over the image's eight flips and turns, which takes eight times as long.
          tile: ``"auto"`` restores images of up to 2²⁰ LR pixels whole if memory allows, and others in overlapping
            tiles of 512×512; N uses tiles of N×N pixels; 0 restores the image whole.
          tiles_at_once: number of tiles in a batch; by default 1 for each CPU device; on accelerators for 2¹⁷
            pixels.
          shrink: N shrinks the image N times first, for images with more pixels than detail, and enlarges the result N
            times by bicubic interpolation, so that its size is the same as without. ``"auto"`` chooses N, which is 1
            for sharp images: see ``shrinking.shrink_factor``. A kernel belongs to the shrunk image.
          same_size: shrink the image s times first, so that the result has the image's own size.
          back_project: number of steps of ``ops.back_project`` on the result, with the estimated or given kernel. A few
            steps gain where the kernel is right and the image has no noise, and do harm elsewhere.

        Returns:
          [s·H, s·W] with the same channels and type; [H, W] with ``same_size``.

        Raises:
          DataError: the image has another shape, type or mode, or values that are not finite or not in [0, 1]; the
            model only estimates kernels; or the model does not support an option.
          OutOfMemory: even the smallest tiles do not fit into memory.
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
            shrink=shrink,
            same_size=same_size,
            back_project=back_project,
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
    shrink: Shrink = 1,
    same_size: bool = False,
    back_project: int = 0,
    image_only: bool = False,
) -> Restored:
    """Restore one image, or estimate its kernel if the model does only that.

    For the arguments and errors see ``restore_bands``.
    """
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
        shrink=shrink,
        same_size=same_size,
        back_project=back_project,
        image_only=image_only,
    )
    result, first = np.empty(restored.shape, restored.dtype), 0
    for band in restored.bands:
        result[first : first + len(band)] = band
        first += len(band)
    return Restored(result, restored.kernel, restored.kernel_code, restored.shrunk)


def restore_bands(
    model: Restorer,
    image: np.ndarray,
    *,
    kernel: np.ndarray | None = None,
    iterations: int | None = None,
    self_ensemble: bool = False,
    tile: Tile = "auto",
    tiles_at_once: int | None = None,
    shrink: Shrink = 1,
    same_size: bool = False,
    back_project: int = 0,
    image_only: bool = False,
    dtype: np.typing.DTypeLike | None = None,
) -> RestoredBands:
    """Restore one image band by band. Grey images become grey RGB; alpha is enlarged by bicubic interpolation.

    This call computes everything that the first row depends on, above all the kernel.

    Args:
      model: a model that restores images.
      image, kernel, iterations, self_ensemble, tile, tiles_at_once, shrink, same_size, back_project: see
        ``RestoresImages.restore``. With ``tile="auto"``, a program that does not fit into memory is not run: see
        ``memory``.
      image_only: do not return the kernel, which saves a little time if the image is restored whole.
      dtype: type of the restored rows; by default the image's.

    Raises:
      DataError, OutOfMemory: as ``RestoresImages.restore``.
    """
    if tiles_at_once is not None and tiles_at_once < 1:
        raise DataError(f"tiles_at_once must be 1 or more, or None for the default, got {tiles_at_once}")
    check_back_projection(model, back_project)
    image_only = image_only and not back_project
    image = as_array(image)
    pixels = Pixels(image)
    dtype, bounded = pixels.dtype if dtype is None else np.dtype(dtype), tile == "auto"
    factor = checked_factor(shrink, same_size, model.scale, image)
    if factor > 1:
        options = {"kernel": kernel, "iterations": iterations, "self_ensemble": self_ensemble}
        options |= {"tile": tile, "tiles_at_once": tiles_at_once, "image_only": image_only}
        options |= {"back_project": back_project}
        small = restore_image(model, shrunk(image, factor), **options)
        shape = pixels.shape(1 if same_size else model.scale)
        rows = enlarged_rows(small.image, 1 if same_size else factor, shape)
        bands = (from_unit(part, dtype) for part in rows)
        return RestoredBands(shape, dtype, bands, small.kernel, small.kernel_code, factor)
    side = tile_side(pixels.size, tile, model.whole_only)
    if not side:
        try:
            with memory.bounded(bounded):
                sr, *known = _whole(model, pixels, kernel, iterations, self_ensemble, image_only)
                return _as_bands(model, pixels, iter([sr]), dtype, back_project, *known)
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
    return _as_bands(model, pixels, tiles.bands(), dtype, back_project, *first)


def restore_steps(model: Restorer, image: np.ndarray, steps: int | None = None) -> list[Restored]:
    """Compute the results of ``restore_image`` after 1, 2 … unfolded steps in a single run, without tiles.

    Args:
      model: an unfolded model, or KernelNet, whose steps are the coarse and the refined kernel.
      image: as for ``RestoresImages.restore``.
      steps: the largest number of steps; by default that of training.

    Raises:
      DataError: as ``restore_image``; or the model is not unfolded.
    """
    pixels = Pixels(image)
    if not model.restores:
        trace = model.estimate(pixels, iterations=steps, trace=True).trace
        return [Restored(None, np.asarray(kernel[0]), None) for kernel in trace.kernel]
    if not model.unfolds:
        raise DataError(f"{model.network} is not unfolded, so it has no steps to compare")
    trace = model(pixels.rgb()[None], iterations=steps, trace=True).trace
    results = []
    for t, sr in enumerate(np.asarray(model.reported(trace.sr))):
        known = [None if x is None else np.asarray(x[t, 0]) for x in (trace.kernel, trace.kernel_code)]
        results.append(Restored(pixels.finish(sr[0], model.scale), *known))
    return results


def share_programs(
    model: Restorer, sizes: typing.Sequence[tuple[int, int]], *, tile: Tile = "auto", self_ensemble: bool = False
) -> Restorer:
    """Prepare a model for a set of pictures, so that they take at most three compiled programs.

    Models that take no padding are returned unchanged.

    Args:
      model: a model that restores images.
      sizes: heights and widths of the pictures.
      tile, self_ensemble: the options that the pictures will be restored with.
    """
    if not model.takes_padding:
        return model
    whole = [size for size in sizes if not tile_side(size, tile, model.whole_only)]
    shapes = shared_shapes(whole, tiled=len(whole) < len(sizes), turned=self_ensemble)
    return model.padded_to(shapes) if shapes else model


def enlarge_bicubic(image: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge a uint8 image [H, W, 3] by MATLAB's bicubic interpolation, the baseline of all scores, to uint8."""
    return from_unit(np.asarray(imresize(jnp.asarray(image, jnp.float32)[None] / 255, scale))[0], np.dtype(np.uint8))


def _estimated(
    model: Restorer,
    pixels: Pixels,
    kernel: np.ndarray | None,
    iterations: int | None,
    self_ensemble: bool,
    tile: Tile,
) -> Restored:
    """Estimate the kernel with a model that restores no images; in large images it picks the part to look at."""
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
    """Restore the whole image in one call: the image [sH, sW, 3], the kernel and its code."""
    run = functools.partial(average_of_eight, model) if self_ensemble else model
    output = run(pixels.rgb()[None], kernel=kernel, iterations=iterations, image_only=image_only)
    return tuple(None if x is None else np.asarray(x)[0] for x in (output.sr, output.kernel, output.kernel_code))


def _as_bands(
    model: Restorer,
    pixels: Pixels,
    bands: typing.Iterator[np.ndarray],
    dtype: np.dtype,
    back_project: int,
    kernel: np.ndarray | None,
    kernel_code: np.ndarray | None,
) -> RestoredBands:
    if back_project:
        assert kernel is not None, "models without a kernel were refused"
        bands = back_projected(model, bands, pixels, kernel, back_project)
    finished = _finished(pixels, model.scale, bands, dtype)
    return RestoredBands(pixels.shape(model.scale), dtype, finished, kernel, kernel_code)


def _finished(
    pixels: Pixels, scale: int, bands: typing.Iterator[np.ndarray], dtype: np.dtype
) -> typing.Iterator[np.ndarray]:
    """Convert restored bands [n, sW, 3] to the image's kind, ``_ROWS`` rows at a time."""
    done = 0
    for band in bands:
        for first in range(0, len(band), _ROWS):
            part = band[first : first + _ROWS]
            yield pixels.finish(part, scale, done + first, dtype)
        done += len(band)
