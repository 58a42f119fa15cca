"""``Row``: all scores of one test image under one blur, restored by one method; and means over rows."""

from __future__ import annotations

import dataclasses
import math
import typing

import numpy as np


@dataclasses.dataclass(frozen=True)
class Row:
    """All scores of one image, blur and method. PSNR in dB and SSIM are measured on 8-bit images within the border.

    Scores that do not apply are None.

    Attributes:
      image: name of the test image.
      case: label of the blur.
      sigma: width of the blur in HR pixels if it is a round Gaussian.
      method: ``blind``, ``true kernel``, ``no kernel`` or ``T = 3``, or the name of a baseline. If several models are
        scored, it includes the model's name: see ``candidates.name_of``.
      psnr_y, ssim_y, psnr_rgb, ssim_rgb: scores of the model's result on luma and, if the protocol asks for it, on RGB.
        These and the bicubic scores are None for models that only estimate kernels.
      bicubic_psnr_y, bicubic_ssim_y, bicubic_psnr_rgb, bicubic_ssim_rgb: scores of bicubic interpolation.
      kernel_l1: ‖k̂ − k‖₁ (KernelNet's table 2).
      kernel_psnr: PSNR of k̂ as an image whose peak is the largest weight of k.
      code_l1: ‖ĉ − c‖₁ of the model's PCA code (DAN's figure 5).
      lr_psnr: PSNR on luma of the LR image that k̂ makes from the HR image.
      lr_remade: share of LR pixels of the file that equal those made again from the HR image and the true kernel.
      flat_residual, block_edges: measures without ground truth, see ``metrics.no_reference``.
      bicubic_flat_residual, bicubic_block_edges: the same of bicubic interpolation.
      flat_ratio: ``flat_residual`` over bicubic's, a quarter of a level added to each.
      block_ratio: ``block_edges`` over bicubic's.
      seconds: time of the restoration.
      kernel_seconds: the part of ``seconds`` that estimates the kernel; None for models without a separate estimate.
      compiling: whether these times include compiling, as the first of each size does.
    """

    image: str
    case: str
    sigma: float | None
    method: str
    psnr_y: float | None = None
    ssim_y: float | None = None
    bicubic_psnr_y: float | None = None
    bicubic_ssim_y: float | None = None
    psnr_rgb: float | None = None
    ssim_rgb: float | None = None
    bicubic_psnr_rgb: float | None = None
    bicubic_ssim_rgb: float | None = None
    kernel_l1: float | None = None
    kernel_psnr: float | None = None
    code_l1: float | None = None
    lr_psnr: float | None = None
    lr_remade: float | None = None
    flat_residual: float | None = None
    bicubic_flat_residual: float | None = None
    flat_ratio: float | None = None
    block_edges: float | None = None
    bicubic_block_edges: float | None = None
    block_ratio: float | None = None
    seconds: float | None = None
    kernel_seconds: float | None = None
    compiling: bool = False


_NO_SCORES = ("image", "case", "sigma", "method", "compiling")
SCORES = tuple(field.name for field in dataclasses.fields(Row) if field.name not in _NO_SCORES)


def mean_scores(rows: typing.Sequence[Row]) -> dict[str, float | None]:
    """The mean of each score over the rows where it is known and finite.

    Of seconds it is the median, without those that include compiling if there are others; of ratios the geometric mean.
    """
    means: dict[str, float | None] = {}
    compiled = [row for row in rows if not row.compiling] or rows
    for name in SCORES:
        values = [getattr(row, name) for row in (compiled if name.endswith("seconds") else rows)]
        known = [value for value in values if value is not None and math.isfinite(value)]
        means[name] = _average_for(name)(known) if known else None
    return means


def _average_for(name: str) -> typing.Callable[[list[float]], float]:
    if name.endswith("_ratio"):
        return lambda values: float(np.exp(np.mean(np.log(np.maximum(values, 1e-12)))))
    return lambda values: float((np.median if name.endswith("seconds") else np.mean)(values))


def group(rows: typing.Iterable[Row], field: str) -> dict[typing.Any, list[Row]]:
    """Group rows by one of their fields, in the order of appearance."""
    groups: dict[typing.Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(getattr(row, field), []).append(row)
    return groups
