"""One image through a model, whatever its kind: to floating-point RGB and back. Scores are measured on this."""

from __future__ import annotations

import functools
import typing

import jax.numpy as jnp
import numpy as np

from blindsr_jax.errors import DataError
from blindsr_jax.inference.self_ensemble import average_of_eight
from blindsr_jax.inference.tiling import restore_tiles
from blindsr_jax.networks.unfolded import Unfolded
from blindsr_jax.ops.resize import imresize

if typing.TYPE_CHECKING:
    from blindsr_jax.inference.model import Model
    from blindsr_jax.types import SROutput


class Restored(typing.NamedTuple):
    """A restored image of the input's kind, and the kernel [K, K] and code [L] that the model found (or was given).

    Each is None for models without it.
    """

    image: np.ndarray | None
    kernel: np.ndarray | None
    code: np.ndarray | None


def restore_image(
    model: Model,
    image: np.ndarray,
    *,
    kernel: np.ndarray | None = None,
    iterations: int | None = None,
    self_ensemble: bool = False,
    tile: int | None = None,
    tiles_at_once: int = 1,
    image_only: bool = False,
) -> Restored:
    """Restores one image. Grey images go through as grey RGB; alpha is enlarged by bicubic interpolation.

    Args, raises: see ``Model.restore``; and ``image_only`` of ``Model.__call__``, for models that have it, which tiles
    do not need.
    """
    pixels = _Pixels(image)
    run = functools.partial(average_of_eight, model) if self_ensemble else model
    options = {"kernel": kernel, "iterations": iterations}
    if tile and max(pixels.rgb.shape[:2]) > tile:
        output: SROutput = restore_tiles(model, run, pixels.rgb, tile, at_once=tiles_at_once, **options)
    else:
        output = run(pixels.rgb[None], **options, **({"image_only": True} if image_only else {}))
    first = [None if x is None else np.asarray(x)[0] for x in (output.kernel, output.kernel_code)]
    image = None if output.sr is None else pixels.finish(np.asarray(output.sr)[0], model.scale)
    return Restored(image, *first)


def restore_steps(model: Model, image: np.ndarray, steps: int | None = None) -> list[Restored]:
    """What ``restore_image`` gives after 1, 2 … unfolded steps, for the price of the longest.

    Args:
      model: an unfolded model, or KernelNet, whose steps are the coarse and the refined kernel.
      image: as for ``Model.restore``.
      steps: the largest number of steps; by default as in training.

    Raises:
      DataError: as ``Model.restore``.
    """
    pixels = _Pixels(image)
    if model.restores and not isinstance(model.module, Unfolded):
        raise DataError(f"{type(model.module).__name__} unfolds no steps that could be told apart")
    trace = model(pixels.rgb[None], iterations=steps, trace=True).trace
    images = None if trace.sr is None else np.asarray(model.module.reported(trace.sr))
    results = []
    for t in range(len(trace.kernel if images is None else images)):
        first = [None if x is None else np.asarray(x[t, 0]) for x in (trace.kernel, trace.kernel_code)]
        results.append(Restored(None if images is None else pixels.finish(images[t, 0], model.scale), *first))
    return results


def enlarge_bicubic(image: np.ndarray, scale: int) -> np.ndarray:
    """What every method is compared with: a uint8 [H, W, 3] image enlarged by MATLAB's bicubic, rounded to 8 bits."""
    return from_unit(np.asarray(imresize(jnp.asarray(image, jnp.float32)[None] / 255, scale))[0], np.dtype(np.uint8))


def from_unit(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values in [0, 1] as a file holds them: clipped, scaled and rounded to an integer type; clipped if floating."""
    x = np.clip(x, 0, 1)
    if np.issubdtype(dtype, np.floating):
        return x.astype(dtype)
    return np.round(x * np.iinfo(dtype).max).astype(dtype)


class _Pixels:
    """An image of any accepted kind as RGB, and the way back."""

    def __init__(self, image: np.ndarray):
        image = np.asarray(image)
        levels = _levels(image)
        channels = image.shape[2] if image.ndim == 3 else 1
        if image.ndim not in (2, 3) or channels not in (1, 2, 3, 4) or 0 in image.shape:
            raise DataError(f"an image must be [H, W] or [H, W, 1 to 4], got shape {image.shape}")
        unit = np.asarray(image, np.float32).reshape(*image.shape[:2], channels) / levels
        if not np.isfinite(unit).all():
            raise DataError("the image holds values that are not finite")
        if np.abs(unit).max() > 2:
            raise DataError(f"floating-point images are in [0, 1], this one reaches {unit.max():.4g}: divide it by 255")
        colours = 3 if channels >= 3 else 1
        self.rgb = np.broadcast_to(unit[..., :colours], (*image.shape[:2], 3))
        self._alpha = unit[..., colours:]
        self._grey, self._flat, self._dtype = colours == 1, image.ndim == 2, image.dtype

    def finish(self, sr: np.ndarray, scale: int) -> np.ndarray:
        """A restored [sH, sW, 3] in the kind that came in."""
        parts = [sr.mean(axis=-1, keepdims=True) if self._grey else sr]
        if self._alpha.shape[-1]:
            parts.append(np.asarray(imresize(jnp.asarray(self._alpha[None]), scale))[0])
        result = from_unit(np.concatenate(parts, axis=-1), self._dtype)
        return result[..., 0] if self._flat else result


def _levels(image: np.ndarray) -> float:
    if image.dtype in (np.uint8, np.uint16):
        return float(np.iinfo(image.dtype).max)
    if np.issubdtype(image.dtype, np.floating):
        return 1.0
    raise DataError(f"an image must be uint8, uint16 or floating point in [0, 1], got {image.dtype}")
