"""Errors of an estimated blur kernel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def kernel_l1(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Kernel error ‖k̂ − k‖₁ of KernelNet's table 2, between 0 and 2 for kernels that sum to one.

    If the (odd) sizes differ, the smaller kernel is centred and padded with zeros.

    Args:
      estimate, truth: [K, K].
    """
    estimate, truth = np.asarray(estimate, np.float64), np.asarray(truth, np.float64)
    size = max(estimate.shape[0], truth.shape[0])
    return float(np.abs(_pad_to(estimate, size) - _pad_to(truth, size)).sum())


def kernel_psnr(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Peak signal-to-noise ratio of a kernel as an image. The peak is the largest weight of the true kernel.

    Args:
      estimate, truth: [K, K]; different odd sizes are padded as in ``kernel_l1``.

    Returns:
      Decibels; infinity for equal kernels.
    """
    estimate, truth = np.asarray(estimate, np.float64), np.asarray(truth, np.float64)
    size = max(estimate.shape[0], truth.shape[0])
    mean_square = np.mean(np.square(_pad_to(estimate, size) - _pad_to(truth, size)))
    return float("inf") if mean_square == 0 else float(10 * np.log10(truth.max() ** 2 / mean_square))


def code_l1(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Error ‖ĉ − c‖₁ between PCA codes [L], as in the reduced space of DAN's figure 5."""
    return float(np.abs(np.asarray(estimate, np.float64) - np.asarray(truth, np.float64)).sum())


def _pad_to(kernel: np.ndarray, size: int) -> np.ndarray:
    return np.pad(kernel, (size - kernel.shape[0]) // 2)
