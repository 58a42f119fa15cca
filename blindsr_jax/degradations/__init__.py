"""From HR images to LR images: kernels, their PCA code, noise, JPEG, and ``degrade`` that composes them inside jit."""

from blindsr_jax.degradations.jpeg import jpeg
from blindsr_jax.degradations.kernels import (
    anisotropic_gaussian,
    dirac,
    isotropic_gaussian,
    move_kernel,
    sample_anisotropic,
    sample_isotropic,
    sample_pool,
    sampled_kernel,
)
from blindsr_jax.degradations.noise import add_awgn
from blindsr_jax.degradations.pca import decode, encode, pca_basis
from blindsr_jax.degradations.pipeline import apply_degradation, basis_for, degrade
from blindsr_jax.ops.blur import normalize_kernel

__all__ = [
    "add_awgn",
    "anisotropic_gaussian",
    "apply_degradation",
    "basis_for",
    "decode",
    "degrade",
    "dirac",
    "encode",
    "isotropic_gaussian",
    "jpeg",
    "move_kernel",
    "normalize_kernel",
    "pca_basis",
    "sample_anisotropic",
    "sample_isotropic",
    "sample_pool",
    "sampled_kernel",
]
