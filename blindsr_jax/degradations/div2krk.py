"""DIV2KRK's degradation (Bell-Kligler et al., NeurIPS 2019), which makes its LR files again to the last bit."""

from __future__ import annotations

import numpy as np

from blindsr_jax.degradations.kernels import move_kernel
from blindsr_jax.errors import InputError


def div2krk_lr(hr: np.ndarray, kernel: np.ndarray, scale: int) -> np.ndarray:
    """Make an LR image as DIV2KRK's authors did.

    The kernel is moved to the blocks' centres and loses what leaves its array. The HR image is correlated with it, the
    border pixels repeated, with sums in double precision. The upper-left pixel of each block is kept, and values are
    truncated, not rounded, to 8 bits.

    Args:
      hr: uint8 [sH, sW, C].
      kernel: [K, K], odd K, as stored in the set.
      scale: s.

    Returns:
      uint8 [H, W, C].

    Raises:
      InputError: the kernel reaches farther than the image.
    """
    image = np.asarray(np.float32(hr) / 255, np.float64)
    total = sampled_correlation(image, move_kernel(kernel, (scale - 1) / 2), scale)
    return (np.clip(total.astype(np.float32), 0, 1) * np.float32(255)).astype(np.uint8)


def sampled_correlation(image: np.ndarray, kernel: np.ndarray, scale: int) -> np.ndarray:
    """Correlate an image with a kernel, the border pixels repeated, and keep the upper-left pixel of each block.

    Args:
      image: [H, W, C], whose type is that of the sums.
      kernel: [K, K], odd K.
      scale: s.

    Returns:
      [⌊H/s⌋, ⌊W/s⌋, C].

    Raises:
      InputError: the kernel reaches farther than the image.
    """
    reach = kernel.shape[0] // 2
    if reach > min(image.shape[:2]):
        raise InputError(f"a kernel of {kernel.shape[0]} pixels is too large for an image of {image.shape[:2]}")
    padded = np.pad(image, [(reach, reach), (reach, reach), (0, 0)], "symmetric")
    height, width = image.shape[0] // scale * scale, image.shape[1] // scale * scale
    total = np.zeros((height // scale, width // scale, image.shape[2]), image.dtype)
    for (row, column), weight in np.ndenumerate(kernel):
        if abs(weight) > np.finfo(np.float64).eps:
            total += weight * padded[row : row + height : scale, column : column + width : scale]
    return total
