"""Image operators as pure JAX functions on NHWC arrays: jit-able, batched, differentiable where the math is."""

from blindsr_jax.ops.blur import blur, normalize_kernel
from blindsr_jax.ops.color import rgb_to_y
from blindsr_jax.ops.fft import kernel_least_squares, self_convolve
from blindsr_jax.ops.pixel import pixel_shuffle, round_to_8bit
from blindsr_jax.ops.resize import imresize, imresize_8bit, s_fold_down, s_fold_up

__all__ = [
    "blur",
    "imresize",
    "imresize_8bit",
    "kernel_least_squares",
    "normalize_kernel",
    "pixel_shuffle",
    "rgb_to_y",
    "round_to_8bit",
    "s_fold_down",
    "s_fold_up",
    "self_convolve",
]
