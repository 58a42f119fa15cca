"""One image through a model, whatever its kind: to floating-point RGB and back. Scores are measured on this."""

from __future__ import annotations

import typing

import jax.numpy as jnp
import numpy as np

from blindsr_jax.errors import DataError
from blindsr_jax.ops.resize import imresize

if typing.TYPE_CHECKING:
    from blindsr_jax.inference.model import Model
    from blindsr_jax.types import SROutput


class Restored(typing.NamedTuple):
    """A restored image of the input's kind, and the kernel [K, K] and code [L] that the model found (or was given)."""

    image: np.ndarray
    kernel: np.ndarray | None
    code: np.ndarray | None


def restore_image(
    model: Model, image: np.ndarray, *, kernel: np.ndarray | None = None, iterations: int | None = None
) -> Restored:
    """Restores one image. Grey images go through as grey RGB; alpha is enlarged by bicubic interpolation.

    Args, raises: see ``Model.restore``.
    """
    levels = _levels(image)
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 2, 3, 4) or 0 in image.shape:
        raise DataError(f"an image must be [H, W] or [H, W, 1 to 4], got shape {image.shape}")
    unit = np.asarray(image, np.float32).reshape(*image.shape[:2], channels) / levels
    if not np.isfinite(unit).all():
        raise DataError("the image holds values that are not finite")
    colours = 3 if channels >= 3 else 1
    rgb = np.broadcast_to(unit[..., :colours], (*image.shape[:2], 3))
    output: SROutput = model(rgb[None], kernel=kernel, iterations=iterations)
    sr = np.asarray(output.sr[0])
    parts = [sr if colours == 3 else sr.mean(axis=-1, keepdims=True)]
    if channels in (2, 4):
        parts.append(np.asarray(imresize(jnp.asarray(unit[None, ..., colours:]), model.scale))[0])
    result = from_unit(np.concatenate(parts, axis=-1), image.dtype)
    result = result[..., 0] if image.ndim == 2 else result
    first = [None if x is None else np.asarray(x[0]) for x in (output.kernel, output.kernel_code)]
    return Restored(result, *first)


def enlarge_bicubic(image: np.ndarray, scale: int) -> np.ndarray:
    """What every method is compared with: a uint8 [H, W, 3] image enlarged by MATLAB's bicubic, rounded to 8 bits."""
    return from_unit(np.asarray(imresize(jnp.asarray(image, jnp.float32)[None] / 255, scale))[0], np.dtype(np.uint8))


def from_unit(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values in [0, 1] as a file holds them: clipped, scaled and rounded to an integer type; clipped if floating."""
    x = np.clip(x, 0, 1)
    if np.issubdtype(dtype, np.floating):
        return x.astype(dtype)
    return np.round(x * np.iinfo(dtype).max).astype(dtype)


def _levels(image: np.ndarray) -> float:
    if image.dtype in (np.uint8, np.uint16):
        return float(np.iinfo(image.dtype).max)
    if np.issubdtype(image.dtype, np.floating):
        return 1.0
    raise DataError(f"an image must be uint8, uint16 or floating point in [0, 1], got {image.dtype}")
