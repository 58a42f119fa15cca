"""A row: all scores of one test image, under one blur, restored in one way."""

from __future__ import annotations

import dataclasses
import math
import typing

import numpy as np


@dataclasses.dataclass(frozen=True)
class Row:
    """PSNR in dB and SSIM, measured on 8-bit images inside the protocol's border; None for what does not apply.

    Attributes:
      image: its name.
      case: label of the blur.
      sigma: width of the blur in HR pixels, where it is a round Gaussian.
      method: how the model was used: ``blind``, ``true kernel``, ``no kernel`` or ``T = 3``; or what it stands beside;
        where there are several models, their names: see ``candidates.name_of``.
      psnr_y, ssim_y, psnr_rgb, ssim_rgb: of the model's result, on luma and (where the protocol says so) on RGB. These
        and the next are None for models that only estimate kernels.
      bicubic_psnr_y, bicubic_ssim_y, bicubic_psnr_rgb, bicubic_ssim_rgb: of bicubic interpolation of the same LR image.
      kernel_l1: ‖k̂ − k‖₁ (KernelNet's table 2).
      kernel_psnr: of k̂ as an image, peak the largest weight of k.
      code_l1: ‖ĉ − c‖₁ in the space of the model's PCA code (DAN's figure 5).
      lr_psnr: of the LR image made again from the HR image with k̂, on luma.
      seconds: of the restoration; the first of a shape includes compiling.
      kernel_seconds: of these, for the kernel's estimate; None for models in which it is no step of its own.
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
    seconds: float | None = None
    kernel_seconds: float | None = None


SCORES = tuple(
    field.name for field in dataclasses.fields(Row) if field.name not in ("image", "case", "sigma", "method")
)


def mean_scores(rows: typing.Sequence[Row]) -> dict[str, float | None]:
    """The mean of each score over the rows that have it and where it is finite; of seconds, the median."""
    means: dict[str, float | None] = {}
    for name in SCORES:
        values = [getattr(row, name) for row in rows]
        known = [value for value in values if value is not None and math.isfinite(value)]
        average = np.median if name.endswith("seconds") else np.mean
        means[name] = float(average(known)) if known else None
    return means


def group(rows: typing.Iterable[Row], field: str) -> dict[typing.Any, list[Row]]:
    """Rows by one of their fields, in the order of appearance."""
    groups: dict[typing.Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(getattr(row, field), []).append(row)
    return groups
