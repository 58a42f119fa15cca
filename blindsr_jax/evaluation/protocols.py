"""Evaluation protocols as frozen values. A number is worth something only with the name of its protocol."""

from __future__ import annotations

import dataclasses
import typing

import numpy as np

from blindsr_jax.degradations.kernels import isotropic_gaussian
from blindsr_jax.degradations.pipeline import Downsample
from blindsr_jax.errors import ConfigError

# Lowest and highest of the eight widths, HR pixels (IKC, CVPR 2019; DAN section 4.1).
_GAUSSIAN8_WIDTHS = {2: (0.80, 1.60), 3: (1.35, 2.40), 4: (1.80, 3.20)}

_SINGLE_WIDTHS = {2: (0.0, 0.6, 1.2, 1.8), 3: (0.0, 0.8, 1.6, 2.4), 4: (0.0, 1.2, 2.4, 3.6)}


@dataclasses.dataclass(frozen=True)
class Case:
    """One blur of a protocol.

    Attributes:
      label: what tells it apart in a table, such as ``σ=1.80``.
      sigma: kernel width in HR pixels.
      size: K.
    """

    label: str
    sigma: float
    size: int

    @property
    def kernel(self) -> np.ndarray:
        """float32 [K, K]."""
        return np.asarray(isotropic_gaussian(self.sigma, self.size), np.float32)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How LR test images are made and scored.

    Attributes:
      name: as printed with every number.
      scale: s; also the border that is shaved before scoring.
      cases: its blurs; a score is the mean over images and cases.
      downsample: see ``degradations.degrade``.
    """

    name: str
    scale: int
    cases: tuple[Case, ...]
    downsample: Downsample = "bicubic"

    @property
    def border(self) -> int:
        """Pixels shaved off each side before scoring."""
        return self.scale

    def subset(self, count: int) -> Protocol:
        """The same with ``count`` of its cases, evenly spread, and a name that says so; itself if that is all."""
        if count >= len(self.cases):
            return self
        chosen = np.round(np.linspace(0, len(self.cases) - 1, count) if count > 1 else [len(self.cases) // 2])
        cases = tuple(self.cases[int(i)] for i in chosen)
        return dataclasses.replace(self, name=f"{self.name}, {count} of {len(self.cases)} widths", cases=cases)


def gaussian8(scale: int) -> Protocol:
    """Gaussian8 (IKC; DAN table 1): eight round 21×21 Gaussians, reflect-padded blur, bicubic downsampling, 8-bit LR.

    Raises:
      ConfigError: it is defined for scales 2, 3 and 4 only.
    """
    if scale not in _GAUSSIAN8_WIDTHS:
        raise ConfigError(f"protocol gaussian8 is defined for scales 2, 3 and 4, not {scale}")
    widths = np.linspace(*_GAUSSIAN8_WIDTHS[scale], 8)
    return Protocol("gaussian8", scale, tuple(Case(f"σ={sigma:.2f}", float(sigma), 21) for sigma in widths))


def gaussian_width(scale: int) -> Protocol:
    """DSSR table VI: four round 21×21 Gaussians, none (width 0) to wide, each reported by itself; else as gaussian8.

    Raises:
      ConfigError: it is defined for scales 2, 3 and 4 only.
    """
    if scale not in _SINGLE_WIDTHS:
        raise ConfigError(f"protocol gaussian_width is defined for scales 2, 3 and 4, not {scale}")
    widths = _SINGLE_WIDTHS[scale]
    return Protocol("gaussian_width", scale, tuple(Case(f"σ={sigma:.2f}", sigma, 21) for sigma in widths))


def validation_protocol(scale: int) -> Protocol:
    """What training is validated by: gaussian8; at scale 1, where there is none, the blurs of ×2 without sampling."""
    if scale in _GAUSSIAN8_WIDTHS:
        return gaussian8(scale)
    return dataclasses.replace(gaussian8(2), name="deblur8 (the widths of gaussian8 ×2, no sampling)", scale=scale)


PROTOCOLS: dict[str, typing.Callable[[int], Protocol]] = {
    "gaussian8": gaussian8,
    "gaussian_width": gaussian_width,
}
