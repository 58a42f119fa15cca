"""Errors of an estimated blur kernel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import check_floating


def kernel_l1(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Kernel error ‖k̂ − k‖₁ of KernelNet's table 2, between 0 and 2 for kernels that sum to one.

    If the (odd) sizes differ, the smaller kernel is centred and padded with zeros.

    Args:
      estimate, truth: [K, K], odd K.

    Raises:
      InputError: they are no such kernels, or not finite.
    """
    estimate, truth = _kernel("estimate", estimate), _kernel("truth", truth)
    size = max(estimate.shape[0], truth.shape[0])
    return float(np.abs(_pad_to(estimate, size) - _pad_to(truth, size)).sum())


def kernel_psnr(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Peak signal-to-noise ratio of a kernel as an image. The peak is the largest weight of the true kernel.

    Args:
      estimate, truth: [K, K]; different odd sizes are padded as in ``kernel_l1``.

    Returns:
      Decibels; infinity for equal kernels.

    Raises:
      InputError: as ``kernel_l1``.
    """
    estimate, truth = _kernel("estimate", estimate), _kernel("truth", truth)
    size = max(estimate.shape[0], truth.shape[0])
    mean_square = np.mean(np.square(_pad_to(estimate, size) - _pad_to(truth, size)))
    return float("inf") if mean_square == 0 else float(10 * np.log10(truth.max() ** 2 / mean_square))


def code_l1(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Error ‖ĉ − c‖₁ between PCA codes [L], as in the reduced space of DAN's figure 5."""
    estimate, truth = np.asarray(estimate, np.float64), np.asarray(truth, np.float64)
    if estimate.shape != truth.shape:
        raise InputError(f"codes must have one length, got shapes {estimate.shape} and {truth.shape}")
    return float(np.abs(check_floating("estimate", estimate) - check_floating("truth", truth)).sum())


def _kernel(name: str, kernel: npt.ArrayLike) -> np.ndarray:
    kernel = np.asarray(kernel, np.float64)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or kernel.shape[0] % 2 == 0:
        raise InputError(f"{name} must be a kernel [K, K] with odd K, got shape {kernel.shape}")
    return check_floating(name, kernel)


def _pad_to(kernel: np.ndarray, size: int) -> np.ndarray:
    return np.pad(kernel, (size - kernel.shape[0]) // 2)


def kernel_width(kernel: np.ndarray) -> float:
    """Width of a blur kernel: the standard deviation of its weights around their centre, the mean of both axes.

    Formula: √((σ²_y + σ²_x) / 2); for a round Gaussian, its σ. Negative weights count as zero.

    Args:
      kernel: [K, K], with a positive sum of its positive weights.

    Returns:
      Pixels.

    >>> import numpy as np
    >>> kernel_width(np.ones((1, 3)))
    0.5773502691896257
    """
    weights = np.maximum(np.asarray(kernel, np.float64), 0)
    weights /= weights.sum()
    places = np.indices(weights.shape)
    centre = (weights * places).sum(axis=(1, 2), keepdims=True)
    return float(np.sqrt((weights * np.square(places - centre)).sum() / 2))
