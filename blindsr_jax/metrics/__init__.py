"""Quality metrics for images and for kernels, computed with NumPy in float64."""

from blindsr_jax.metrics.image import psnr, ssim
from blindsr_jax.metrics.kernel import code_l1, kernel_l1, kernel_psnr, kernel_width
from blindsr_jax.metrics.no_reference import block_edges, flat_residual

__all__ = ["block_edges", "code_l1", "flat_residual", "kernel_l1", "kernel_psnr", "kernel_width", "psnr", "ssim"]
