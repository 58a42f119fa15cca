"""One test image and one blur → one row of scores; a protocol over a set of images → all rows."""

from __future__ import annotations

import dataclasses
import logging
import time
import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.data.sources import Source
from blindsr_jax.degradations.pca import encode
from blindsr_jax.degradations.pipeline import apply_degradation
from blindsr_jax.errors import DataError
from blindsr_jax.evaluation.protocols import Case, Protocol
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.restore import enlarge_bicubic, from_unit, restore_image
from blindsr_jax.metrics import code_l1, kernel_l1, psnr, ssim

log = logging.getLogger(__name__)
_degrade = jax.jit(apply_degradation, static_argnames=("scale", "downsample"))


@dataclasses.dataclass(frozen=True)
class Row:
    """Scores of one restored test image; PSNR in dB and SSIM on luma, measured on the 8-bit result.

    Attributes:
      image: its name.
      case: label of the blur.
      sigma: its width in HR pixels.
      psnr_y, ssim_y: the model's.
      bicubic_psnr_y, bicubic_ssim_y: bicubic interpolation's, of the same LR image.
      kernel_l1: ‖k̂ − k‖₁, or None for models that estimate no kernel.
      code_l1: the same in the space of the model's PCA code, or None.
      seconds: of the restoration; the first of a shape includes compiling.
    """

    image: str
    case: str
    sigma: float
    psnr_y: float
    ssim_y: float
    bicubic_psnr_y: float
    bicubic_ssim_y: float
    kernel_l1: float | None
    code_l1: float | None
    seconds: float


def evaluate(
    model: Model,
    source: Source,
    protocol: Protocol,
    *,
    limit: int = 0,
    crop: int = 0,
    iterations: int | None = None,
    failures: list[str] | None = None,
    progress: typing.Callable[[typing.Iterable[typing.Any], int], typing.Iterable[typing.Any]] | None = None,
) -> list[Row]:
    """Runs a protocol.

    Args:
      model: to score.
      source: HR test images, used at their own sizes.
      protocol: blurs and downsampling.
      limit: use only the first so many images; 0 for all.
      crop: use only the central so many pixels of each; 0 for whole images.
      iterations: unfolded steps; by default the model's.
      failures: collects a line for each image that cannot be read; without it the first one raises.
      progress: wraps the iteration over (image, case) pairs, given their number; for a progress bar.

    Returns:
      A row per image and case.

    Raises:
      DataError: no image can be read, or one cannot and ``failures`` was not given.
    """
    count = min(limit, len(source)) if limit else len(source)
    pairs = [(i, case) for i in range(count) for case in protocol.cases]
    rows, loaded, hr = [], None, None
    for i, case in progress(pairs, len(pairs)) if progress else pairs:
        if i != loaded:
            loaded, hr = i, _read(source, i, failures)
            hr = hr if hr is None else prepare_hr(hr, protocol.scale, crop)
        if hr is None:
            continue
        rows.append(evaluate_image(model, hr, protocol, case, name=source.names[i], iterations=iterations))
    if not rows:
        raise DataError(f"no test image can be read; first: {failures[0]}" if failures else "there are no test images")
    return rows


def _read(source: Source, index: int, failures: list[str] | None) -> np.ndarray | None:
    try:
        return source.read(index)
    except DataError as error:
        if failures is None:
            raise
        failures.append(str(error))
        log.warning("left out %s", error)
        return None


def evaluate_image(
    model: Model, hr: np.ndarray, protocol: Protocol, case: Case, *, name: str, iterations: int | None = None
) -> Row:
    """Degrades one HR image (uint8, sides multiples of the scale), restores it and scores the result."""
    lr = make_lr(hr, protocol, case)
    start = time.perf_counter()
    restored = restore_image(model, lr, iterations=iterations)
    seconds = time.perf_counter() - start
    bicubic = enlarge_bicubic(lr, protocol.scale)
    truth = case.kernel
    has_code = restored.code is not None and model.module.kernel_size == truth.shape[0]
    return Row(
        image=name,
        case=case.label,
        sigma=case.sigma,
        psnr_y=psnr(restored.image, hr, protocol.border),
        ssim_y=ssim(restored.image, hr, protocol.border),
        bicubic_psnr_y=psnr(bicubic, hr, protocol.border),
        bicubic_ssim_y=ssim(bicubic, hr, protocol.border),
        kernel_l1=None if restored.kernel is None else kernel_l1(restored.kernel, truth),
        code_l1=code_l1(restored.code, encode(jnp.asarray(truth), model.pca_basis)) if has_code else None,
        seconds=seconds,
    )


def prepare_hr(hr: np.ndarray, scale: int, crop: int = 0) -> np.ndarray:
    """Crops an HR image to its centre if asked, and to sides that are multiples of the scale (lower right cut off)."""
    if crop:
        height, width = (min(crop, side) for side in hr.shape[:2])
        top, left = (hr.shape[0] - height) // 2, (hr.shape[1] - width) // 2
        hr = hr[top : top + height, left : left + width]
    return hr[: hr.shape[0] // scale * scale, : hr.shape[1] // scale * scale]


def make_lr(hr: np.ndarray, protocol: Protocol, case: Case) -> np.ndarray:
    """The LR image of a protocol as its file would hold it: uint8 [H, W, 3] from uint8 [sH, sW, 3]."""
    unit = jnp.asarray(hr, jnp.float32)[None] / 255
    lr = _degrade(unit, jnp.asarray(case.kernel)[None], scale=protocol.scale, downsample=protocol.downsample)
    return from_unit(np.asarray(lr[0]), np.dtype(np.uint8))
