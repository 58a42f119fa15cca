"""Baseline that estimates the same Gaussian for every image (KernelNet, table 2, "Fixed Kernel")."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from blindsr_jax.degradations.kernels import isotropic_gaussian
from blindsr_jax.networks.kernel_estimator import KernelEstimator

# Width in HR pixels by scale: ``best_gaussian`` of the training kernels of our pool, the first result of
# ``split_pool(kernel_pool(scale))``. KernelNet's table has 1.6 at ×2 and ×3, and 3 at ×4.
GAUSSIAN_WIDTHS = {2: 1.58, 3: 2.25, 4: 3.15}


class FixedGaussian(KernelEstimator):
    """Estimates the same isotropic Gaussian for every image.

    Attributes:
      scale, kernel_size: see ``KernelEstimator``.
    """

    def kernel_steps(self, lr: jax.Array) -> list[jax.Array]:
        """Return the Gaussian [B, K, K] as the only step."""
        kernel = isotropic_gaussian(GAUSSIAN_WIDTHS[self.scale], self.kernel_size).astype(lr.dtype)
        return [jnp.broadcast_to(kernel, (lr.shape[0], *kernel.shape))]
