"""Quality metrics for images and for kernels, computed with NumPy in float64."""

from blindsr_jax.metrics.image import psnr, ssim
from blindsr_jax.metrics.kernel import code_l1, kernel_l1, kernel_psnr

__all__ = ["code_l1", "kernel_l1", "kernel_psnr", "psnr", "ssim"]
