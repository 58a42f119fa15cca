"""One Gaussian for every image: what naming no image's own kernel is worth (KernelNet, table 2, "Fixed Kernel")."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from blindsr_jax.degradations.kernels import isotropic_gaussian
from blindsr_jax.networks.kernel_estimator import KernelEstimator

# Width in HR pixels by scale: ``best_gaussian`` of the kernels of our pool that are trained on, those that
# ``split_pool(kernel_pool(scale))`` returns first. KernelNet's table has 1.6 at ×2 and ×3, and 3 at ×4.
GAUSSIAN_WIDTHS = {2: 1.58, 3: 2.25, 4: 3.15}


class FixedGaussian(KernelEstimator):
    """Estimates the same round Gaussian whatever the image.

    Attributes:
      scale, kernel_size: see ``KernelEstimator``.
    """

    def kernel_steps(self, lr: jax.Array) -> list[jax.Array]:
        """The Gaussian, [B, K, K]."""
        kernel = isotropic_gaussian(GAUSSIAN_WIDTHS[self.scale], self.kernel_size).astype(lr.dtype)
        return [jnp.broadcast_to(kernel, (lr.shape[0], *kernel.shape))]
