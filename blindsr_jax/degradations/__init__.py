"""Degradations from HR to LR images: kernels, their PCA code, noise, JPEG, and ``degrade``, which composes them."""

from blindsr_jax.degradations.div2krk import div2krk_lr
from blindsr_jax.degradations.jpeg import jpeg
from blindsr_jax.degradations.kernel_mixtures import (
    sample_bsrgan,
    sample_bsrgan_down,
    sample_real_esrgan,
)
from blindsr_jax.degradations.kernels import (
    anisotropic_gaussian,
    bicubic_equivalent_kernel,
    dirac,
    isotropic_gaussian,
    move_kernel,
    sample_anisotropic,
    sample_isotropic,
    sample_pool,
)
from blindsr_jax.degradations.lr_kernels import reformulated_kernel
from blindsr_jax.degradations.noise import add_awgn, add_correlated, add_poisson, add_speckle
from blindsr_jax.degradations.notation import steps_from_text, text_of_steps
from blindsr_jax.degradations.orders import register_order
from blindsr_jax.degradations.pca import decode, encode, pca_basis
from blindsr_jax.degradations.photo_kernels import sample_motion, sample_photo
from blindsr_jax.degradations.pipeline import apply_degradation, basis_for, degrade
from blindsr_jax.degradations.real_kernels import (
    crop_kernel,
    disk,
    generalized_gaussian,
    path_kernel,
    plateau,
    sinc_kernel,
)
from blindsr_jax.degradations.realdan_kernels import sample_kerneldan, sample_realdan, sample_sinc
from blindsr_jax.degradations.samplers import Kernels, kernels_of, register_sampler
from blindsr_jax.degradations.sharpening import unsharp_mask
from blindsr_jax.degradations.steps import Batch, Keys, Step, Task, filled, full_size, register_step
from blindsr_jax.ops.blur import normalize_kernel

__all__ = [
    "Batch",
    "Kernels",
    "Keys",
    "Step",
    "Task",
    "add_awgn",
    "add_correlated",
    "add_poisson",
    "add_speckle",
    "anisotropic_gaussian",
    "apply_degradation",
    "basis_for",
    "bicubic_equivalent_kernel",
    "crop_kernel",
    "decode",
    "degrade",
    "dirac",
    "disk",
    "div2krk_lr",
    "encode",
    "filled",
    "full_size",
    "generalized_gaussian",
    "isotropic_gaussian",
    "jpeg",
    "kernels_of",
    "move_kernel",
    "normalize_kernel",
    "path_kernel",
    "pca_basis",
    "plateau",
    "reformulated_kernel",
    "register_order",
    "register_sampler",
    "register_step",
    "sample_anisotropic",
    "sample_bsrgan",
    "sample_bsrgan_down",
    "sample_isotropic",
    "sample_kerneldan",
    "sample_motion",
    "sample_photo",
    "sample_pool",
    "sample_real_esrgan",
    "sample_realdan",
    "sample_sinc",
    "sinc_kernel",
    "steps_from_text",
    "text_of_steps",
    "unsharp_mask",
]
