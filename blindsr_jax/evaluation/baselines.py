"""Simple filters to compare with: bicubic or Lanczos interpolation, then sharpening or a Wiener filter.

They know nothing of a picture's blur, noise and compression: one setting serves all pictures of a scale.
"""

from __future__ import annotations

import dataclasses
import typing

import numpy as np
import scipy  # loads its submodules on first use
from PIL import Image

from blindsr_jax.inference.restore import enlarge_bicubic


@dataclasses.dataclass(frozen=True)
class LanczosWithSharpening:
    """Lanczos interpolation with a support of three LR pixels, then unsharp masking x + a (x − G x).

    Attributes:
      sigma: width of the Gaussian G, HR pixels.
      amount: a.
    """

    sigma: float
    amount: float

    def __str__(self) -> str:
        return f"Lanczos + unsharp masking (σ {self.sigma:g}, amount {self.amount:g})"

    def __call__(self, lr: np.ndarray, scale: int) -> np.ndarray:
        """Enlarge uint8 [H, W, 3] to uint8 [sH, sW, 3]."""
        size = lr.shape[1] * scale, lr.shape[0] * scale
        enlarged = np.asarray(Image.fromarray(lr).resize(size, Image.Resampling.LANCZOS))
        return _filtered(enlarged, lambda gaussian: 1 + self.amount * (1 - gaussian), self.sigma)


@dataclasses.dataclass(frozen=True)
class Wiener:
    """Bicubic interpolation, then the Wiener filter Ĝ / (Ĝ² + r) of a Gaussian blur.

    Attributes:
      sigma: width of the Gaussian, HR pixels; Ĝ is its transfer function.
      noise: r, the ratio of noise to signal.
    """

    sigma: float
    noise: float

    def __str__(self) -> str:
        return f"bicubic + Wiener (σ {self.sigma:g}, noise {self.noise:g})"

    def __call__(self, lr: np.ndarray, scale: int) -> np.ndarray:
        """Enlarge uint8 [H, W, 3] to uint8 [sH, sW, 3]."""
        gain = 1 + self.noise  # constants stay as they are
        enlarged = enlarge_bicubic(lr, scale)
        return _filtered(enlarged, lambda gaussian: gain * gaussian / (gaussian**2 + self.noise), self.sigma)


Baseline = LanczosWithSharpening | Wiener


def _filtered(image: np.ndarray, transfer: typing.Callable[[np.ndarray], np.ndarray], sigma: float) -> np.ndarray:
    """Filter with a function of a Gaussian's transfer function, reflecting at the borders: the cosine transform."""
    spectrum = scipy.fft.dctn(image.astype(np.float32), axes=(0, 1), norm="ortho")
    down, across = (np.exp(-0.5 * (sigma * np.pi * np.arange(n) / n) ** 2) for n in image.shape[:2])
    gaussian = (down[:, None] * across)[..., None].astype(np.float32)
    filtered = scipy.fft.idctn(spectrum * transfer(gaussian), axes=(0, 1), norm="ortho")
    return np.clip(np.round(filtered), 0, 255).astype(np.uint8)


def baselines_for(scale: int) -> tuple[Baseline, ...]:
    """The filters of a scale, with the settings that have the best mean PSNR on protocol ``photo``.

    The settings were chosen on twelve validation pictures: photographs, drawings and text.
    """
    return LanczosWithSharpening(sigma=0.75 * scale, amount=0.5), Wiener(sigma=0.55 * scale, noise=0.1)
