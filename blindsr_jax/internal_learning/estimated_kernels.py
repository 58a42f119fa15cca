"""Post-processing of KernelGAN's raw kernel: its significant weights, its place, the kernel of ×4. All NumPy."""

from __future__ import annotations

import math

import numpy as np
import scipy  # brings in its parts when they are first used

from blindsr_jax.degradations.kernels import move_kernel

_COUNT, _SHARE = 41, 0.75  # weights below 0.75 times the 41st largest are taken for noise


def significant(kernel: np.ndarray) -> np.ndarray:
    """Subtract 0.75 times the 41st largest weight, clip at zero and normalise (KernelGAN's public code).

    The result is narrower than the kernel.

    Args:
      kernel: [K, K], K at least 7.

    Returns:
      float64 [K, K], summing to one.
    """
    kernel = np.asarray(kernel, np.float64)
    threshold = _SHARE * np.sort(kernel, axis=None)[-_COUNT]
    kernel = np.maximum(kernel - threshold, 0)
    return kernel / kernel.sum()


def to_block_centres(kernel: np.ndarray, scale: int) -> np.ndarray:
    """Move a kernel's centre of mass (s − 1)/2 pixels below and right of its central pixel, with room around it.

    The array grows by ⌈largest shift⌉ + 1 pixels at each side, so that no weight is lost.

    Args:
      kernel: [K, K], odd K.
      scale: s.

    Returns:
      float64 [K', K'], odd K' > K; not normalised again.
    """
    target = kernel.shape[0] // 2 + (scale - 1) / 2
    shift = target - np.array(scipy.ndimage.center_of_mass(kernel))
    return move_kernel(np.pad(kernel, math.ceil(np.abs(shift).max()) + 1), (scale - 1) / 2)


def squared_scale(kernel: np.ndarray) -> np.ndarray:
    """The kernel of scale s² = 4 of an image that is downsampled twice by s = 2: k convolved with k, zero-stuffed.

    Args:
      kernel: [K, K], odd K, of ×2.

    Returns:
      float64 [K', K'] of ×4, K' = 3K − 2 − 2⌊K/2⌋, summing to one.
    """
    size = kernel.shape[0]
    total = np.zeros((3 * size - 2, 3 * size - 2))
    for (row, column), weight in np.ndenumerate(kernel):
        total[2 * row : 2 * row + size, 2 * column : 2 * column + size] += weight * kernel
    inner = total[size // 2 : -(size // 2), size // 2 : -(size // 2)]
    return inner / inner.sum()


def offset_of(kernel: np.ndarray) -> np.ndarray:
    """How far a kernel's centre of mass lies from its central pixel: rows and columns, [2], in pixels."""
    return np.array(scipy.ndimage.center_of_mass(kernel)) - kernel.shape[0] // 2
