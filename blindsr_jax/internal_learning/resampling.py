"""Whole pictures in ZSSR: interpolated, degraded and projected back. All NumPy, so pictures of all sizes share it."""

from __future__ import annotations

import numpy as np

from blindsr_jax.degradations.div2krk import sampled_correlation
from blindsr_jax.internal_learning.estimated_kernels import offset_of
from blindsr_jax.ops.resize import Border, resize_matrix, resize_taps
from blindsr_jax.ops.taps import along

_BORDER: Border = "renormalise"
_SAME = 0.02  # pixels


class Sampling:
    """How an LR image came about: s-fold sampling after a blur by a kernel.

    An LR pixel is interpolated at the place of the HR image that it shows: the kernel's centre of mass. For a kernel
    that is moved to the blocks' centres this is the usual interpolation.

    Args:
      kernel: [K, K], odd K, summing to one.
      scale: s.
    """

    def __init__(self, kernel: np.ndarray, scale: int):
        self.kernel, self.scale = kernel.astype(np.float32), scale
        centre = (scale - 1) / 2  # of a block, where kernels lie that were moved there by a spline
        found = [float(offset) for offset in offset_of(kernel)]
        self._offsets = [centre if abs(offset - centre) < _SAME else offset for offset in found]

    def matrices(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """The matrices [s·side, side] that interpolate rows and columns of a square image."""
        rows, columns = (resize_matrix(side, self.scale, _BORDER, offset) for offset in self._offsets)
        return rows.astype(np.float32), columns.astype(np.float32)

    def enlarge(self, lr: np.ndarray) -> np.ndarray:
        """Interpolate [H, W, 3] to float32 [sH, sW, 3]."""
        taps = [resize_taps(side, self.scale, _BORDER, at) for side, at in zip(lr.shape, self._offsets)]
        return along(along(lr[None].astype(np.float32), taps[0], 1), taps[1], 2)[0]

    def degrade(self, hr: np.ndarray) -> np.ndarray:
        """Blur and sample float32 [sH, sW, 3]: [H, W, 3], not clipped."""
        return sampled_correlation(hr, self.kernel, self.scale)

    def back_project(self, sr: np.ndarray, lr: np.ndarray, count: int) -> np.ndarray:
        """Add what the degraded result lacks of the LR image, interpolated; so many times, clipped (ZSSR, section 3.3).

        Args:
          sr: [sH, sW, 3] in [0, 1].
          lr: [H, W, 3] in [0, 1].
          count: rounds.
        """
        for _ in range(count):
            sr = np.clip(sr + self.enlarge(lr - self.degrade(sr)), 0, 1)
        return sr
