"""Iterative back-projection: correct a restored image by what its own LR image lacks (Irani and Peleg, CVGIP 1991)."""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp

from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import check_images
from blindsr_jax.ops.blur import BorderMode, blur
from blindsr_jax.ops.resize import imresize, move_to_upper_left, s_fold_down

Sampling = typing.Literal["bicubic", "s_fold", "s_fold_of_moved"]


def back_project(
    image: jax.Array,
    lr: jax.Array,
    kernel: jax.Array,
    *,
    scale: int,
    iterations: int,
    downsample: Sampling = "bicubic",
    blur_mode: BorderMode = "reflect",
) -> jax.Array:
    """Move a restored image towards one whose blurred and downsampled copy is the LR image.

    Formula: x ← clip(x + ↑(y − (x ⊗ k)↓), 0, 1), with ↑ the bicubic interpolation of ``imresize``. ZSSR (CVPR 2018)
    ends with a few such steps. They help as far as k is the true kernel and y has no noise.

    Args:
      image: x, [B, s·H, s·W, C] in [0, 1].
      lr: y, [B, H, W, C] in [0, 1].
      kernel: k, [B, K, K], or [1, K, K] shared by all images; a correlation kernel summing to one, with odd K.
      scale: s.
      iterations: number of steps.
      downsample: ``bicubic`` for ``imresize``; ``s_fold`` for the upper-left pixel of each block; ``s_fold_of_moved``
        for the same pixel after a kernel whose centre of mass lies in the blocks' centres, as of ZSSR and DIV2KRK.
      blur_mode: border of the blur, see ``blur``.

    Returns:
      [B, s·H, s·W, C] in [0, 1].

    Raises:
      InputError: the sizes do not belong together, the number of steps is negative, the downsampling is unknown, or as
        ``blur``.
    """
    height, width = check_images("lr", lr).shape[1:3]
    if check_images("image", image).shape != (len(lr), scale * height, scale * width, lr.shape[3]):
        raise InputError(f"an image of {image.shape} is not {scale} times as large as LR pixels of {lr.shape}")
    if iterations < 0:
        raise InputError(f"iterations must be 0 or more, got {iterations}")
    if downsample not in typing.get_args(Sampling):
        raise InputError(f"downsample must be one of {typing.get_args(Sampling)}, got {downsample!r}")

    def step(_: int, image: jax.Array) -> jax.Array:
        blurred = blur(image, kernel, blur_mode)
        again = imresize(blurred, 1 / scale) if downsample == "bicubic" else s_fold_down(blurred, scale)
        missing = imresize(lr - again, scale)
        missing = move_to_upper_left(missing, scale) if downsample == "s_fold" else missing
        return jnp.clip(image + missing, 0, 1)

    return jax.lax.fori_loop(0, iterations, step, image)
