"""PSNR and SSIM as in super-resolution tables: on 8-bit images with cropped borders, usually on luma."""

from __future__ import annotations

import typing

import numpy as np
import scipy  # loads its submodules on first use

from blindsr_jax.errors import InputError
from blindsr_jax.ops.color import rgb_to_y

Channel = typing.Literal["y", "rgb"]

_SSIM_WINDOW = 11
_SSIM_SIGMA = 1.5
_SSIM_K1, _SSIM_K2 = 0.01, 0.03


def psnr(a: np.ndarray, b: np.ndarray, border: int, channel: Channel = "y") -> float:
    """Peak signal-to-noise ratio with peak 255.

    Formula: 10 log₁₀(255² / mean((a − b)²)), over all remaining pixels and channels.

    Args:
      a, b: uint8 [H, W, 3].
      border: number of pixels cropped from each side (usually the scale).
      channel: ``y`` for unrounded studio-range luma, ``rgb`` for all three channels.

    Returns:
      Decibels; infinity for equal images.

    Raises:
      InputError: shapes differ or are not [H, W, 3], types are not uint8, nothing is left inside the border, or the
        channel is unknown.

    >>> import numpy as np
    >>> psnr(np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8), border=0, channel="rgb")
    0.0
    """
    a, b = _prepare(a, b, border, channel)
    mean_square = np.mean(np.square(a - b))
    return float("inf") if mean_square == 0 else float(10 * np.log10(255.0**2 / mean_square))


def ssim(a: np.ndarray, b: np.ndarray, border: int, channel: Channel = "y") -> float:
    """Structural similarity (Wang et al., TIP 2004): 11×11 Gaussian windows of σ = 1.5 inside the image.

    Args:
      a, b, border, channel: see ``psnr``.

    Returns:
      The mean over windows and channels, at most 1.

    Raises:
      InputError: as for ``psnr``, or fewer than 11 pixels are left inside the border in one direction.
    """
    a, b = _prepare(a, b, border, channel)
    if min(a.shape[:2]) < _SSIM_WINDOW:
        raise InputError(
            f"SSIM needs at least 11x11 pixels inside the border of {border}, got {a.shape[0]}x{a.shape[1]}"
        )
    mean_a, mean_b = _window(a), _window(b)
    variance_a = _window(a * a) - mean_a**2
    variance_b = _window(b * b) - mean_b**2
    covariance = _window(a * b) - mean_a * mean_b
    c1, c2 = (_SSIM_K1 * 255) ** 2, (_SSIM_K2 * 255) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return float(np.mean(luminance * structure))


def _prepare(a: np.ndarray, b: np.ndarray, border: int, channel: Channel) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 3 or a.shape[-1] != 3:
        raise InputError(f"expected two [H, W, 3] images of one size, got {a.shape} and {b.shape}")
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise InputError(f"metrics need uint8 images, got {a.dtype} and {b.dtype}: round them to 8 bits first")
    if border < 0 or min(a.shape[:2]) <= 2 * border:
        raise InputError(f"a border of {border} leaves nothing of a {a.shape[0]}x{a.shape[1]} image")
    inside = slice(border, -border or None)
    a, b = (image[inside, inside].astype(np.float64) for image in (a, b))
    if channel == "rgb":
        return a, b
    if channel == "y":
        return rgb_to_y(a / 255.0), rgb_to_y(b / 255.0)
    raise InputError(f"channel must be 'y' or 'rgb', got {channel!r}")


def _window(x: np.ndarray) -> np.ndarray:
    """Return the Gaussian-weighted mean of every window that lies inside the image."""
    radius = _SSIM_WINDOW // 2
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * _SSIM_SIGMA**2))
    weights /= weights.sum()
    for axis in (0, 1):
        x = scipy.ndimage.correlate1d(x, weights, axis=axis)
    return x[radius:-radius, radius:-radius]
