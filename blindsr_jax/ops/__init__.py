"""Image operators as pure JAX functions on NHWC arrays: jit-able, batched, differentiable where the math is."""

from blindsr_jax.ops.back_projection import back_project
from blindsr_jax.ops.blur import blur, normalize_kernel
from blindsr_jax.ops.borders import wrap_smoothly
from blindsr_jax.ops.color import rgb_to_y
from blindsr_jax.ops.fft import (
    circular_gradients,
    constrained_least_squares,
    data_solution,
    gradient_solver,
    kernel_least_squares,
    per_shard,
    psf_to_otf,
    self_convolve,
)
from blindsr_jax.ops.interpolation import interpolate
from blindsr_jax.ops.pixel import pixel_shuffle, round_to_8bit
from blindsr_jax.ops.resize import imresize, imresize_8bit, s_fold_down, s_fold_up
from blindsr_jax.ops.total_variation import total_variation_denoise

__all__ = [
    "back_project",
    "blur",
    "circular_gradients",
    "constrained_least_squares",
    "data_solution",
    "gradient_solver",
    "imresize",
    "imresize_8bit",
    "interpolate",
    "kernel_least_squares",
    "normalize_kernel",
    "per_shard",
    "pixel_shuffle",
    "psf_to_otf",
    "rgb_to_y",
    "round_to_8bit",
    "s_fold_down",
    "s_fold_up",
    "self_convolve",
    "total_variation_denoise",
    "wrap_smoothly",
]
