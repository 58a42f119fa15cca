"""``degrade``: HR batch → blurred, downsampled, noisy, 8-bit LR batch and the kernels it was made with."""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations import kernels as kernel_samplers
from blindsr_jax.degradations.noise import add_awgn
from blindsr_jax.degradations.pca import pca_basis
from blindsr_jax.ops.blur import BorderMode, blur
from blindsr_jax.ops.pixel import round_to_8bit
from blindsr_jax.ops.resize import imresize, s_fold_down
from blindsr_jax.types import Degraded

KernelKind = typing.Literal["isotropic", "anisotropic", "pool"]
Downsample = typing.Literal["bicubic", "s_fold"]
BASIS_KERNELS = 30_000  # as many as the published bases were computed from


def degrade(
    key: jax.Array,
    hr: jax.Array,
    *,
    scale: int,
    kernel: KernelKind | jax.Array = "isotropic",
    kernel_size: int = 21,
    sigma: tuple[float, float] = (0.2, 4.0),
    multiplicative_noise: float = 0.25,
    isotropic_rate: float = 0.0,
    downsample: Downsample = "bicubic",
    blur_mode: BorderMode = "reflect",
    noise: tuple[float, float] = (0.0, 0.0),
    noise_free_rate: float = 0.0,
    round_8bit: bool = True,
    pool: jax.Array | None = None,
) -> Degraded:
    """Draws kernels and noise and makes LR images: y = round(((x ⊗ k)↓s) + n) (DAN eq. 1).

    A pure function of its arguments: the same key gives the same batch on any number of devices. All options but
    arrays are static under jit.

    Args:
      key: PRNG key of this batch.
      hr: [B, s·H, s·W, C] in [0, 1].
      scale: s.
      kernel: ``isotropic``, ``anisotropic`` or ``pool`` to draw them, or kernels [B, K, K] (or [1, K, K]) to use.
      kernel_size: K of drawn Gaussians, odd.
      sigma: lowest and highest width of drawn Gaussians in HR pixels.
      multiplicative_noise: anisotropic kernels only; largest relative increase of a kernel's pixel.
      isotropic_rate: anisotropic kernels only; the share that is round all the same.
      downsample: ``bicubic`` (MATLAB imresize; DAN's and DSSR's tables) or ``s_fold`` (upper-left pixel).
      blur_mode: border of the blur; see ``ops.blur``.
      noise: lowest and highest standard deviation of the white noise on the 0–255 scale, drawn per image.
      noise_free_rate: the share of images that get no noise all the same.
      round_8bit: clip and round the result to 8 bits, as a stored LR file is.
      pool: [N, K, K], what ``pool`` draws from.

    Returns:
      Degraded(lr [B, H, W, C], kernel [B, K, K], sigma [B]); of what rounding adds, sigma knows nothing.

    Raises:
      ValueError: the HR size is no multiple of the scale, or an option is unknown.
    """
    batch = hr.shape[0]
    key_kernel, key_level, key_noise = jax.random.split(key, 3)
    if isinstance(kernel, str):
        kernel = draw_kernels(
            key_kernel,
            batch,
            kind=kernel,
            size=kernel_size,
            sigma=sigma,
            multiplicative_noise=multiplicative_noise,
            isotropic_rate=isotropic_rate,
            pool=pool,
        )
    lr = apply_degradation(hr, kernel, scale=scale, downsample=downsample, blur_mode=blur_mode)
    level = jnp.zeros(batch)
    if noise[1] > 0:
        level = jax.random.uniform(key_level, (batch,), minval=noise[0], maxval=noise[1]) / 255.0
        if noise_free_rate > 0:
            noisy = jax.random.bernoulli(jax.random.fold_in(key_level, 1), 1 - noise_free_rate, (batch,))
            level = jnp.where(noisy, level, 0.0)
        lr = add_awgn(key_noise, lr, level)
    if round_8bit:
        lr = round_to_8bit(lr)
    return Degraded(lr=lr, kernel=kernel, sigma=level)


def apply_degradation(
    hr: jax.Array,
    kernel: jax.Array,
    *,
    scale: int,
    downsample: Downsample = "bicubic",
    blur_mode: BorderMode = "reflect",
) -> jax.Array:
    """The part without chance: (x ⊗ k)↓s, not rounded.

    Args:
      hr: [B, s·H, s·W, C] in [0, 1].
      kernel: [B, K, K] or [1, K, K].
      scale: s.
      downsample: ``bicubic`` or ``s_fold``.
      blur_mode: border of the blur; see ``ops.blur``.

    Returns:
      [B, H, W, C].

    Raises:
      ValueError: the HR size is no multiple of the scale, or downsample is unknown.
    """
    if hr.shape[1] % scale or hr.shape[2] % scale:
        raise ValueError(f"HR size {hr.shape[1]}x{hr.shape[2]} is no multiple of the scale {scale}: crop it first")
    blurred = blur(hr, kernel, blur_mode)
    if downsample == "bicubic":
        return imresize(blurred, 1 / scale)
    if downsample == "s_fold":
        return s_fold_down(blurred, scale)
    raise ValueError(f"downsample must be 'bicubic' or 's_fold', got {downsample!r}")


def draw_kernels(
    key: jax.Array,
    count: int,
    *,
    kind: KernelKind,
    size: int,
    sigma: tuple[float, float],
    multiplicative_noise: float = 0.25,
    isotropic_rate: float = 0.0,
    pool: jax.Array | None = None,
) -> jax.Array:
    """Draws kernels [B, K, K] of a setting by its name: ``sample_isotropic``, ``_anisotropic`` or ``_pool``."""
    if kind == "pool":
        if pool is None:
            raise ValueError("kernel 'pool' draws from kernels [N, K, K]: give them as pool")
        return kernel_samplers.sample_pool(key, count, pool)
    if kind == "isotropic":
        return kernel_samplers.sample_isotropic(key, count, size=size, sigma=sigma)
    if kind == "anisotropic":
        return kernel_samplers.sample_anisotropic(
            key,
            count,
            size=size,
            sigma=sigma,
            multiplicative_noise=multiplicative_noise,
            isotropic_rate=isotropic_rate,
        )
    raise ValueError(f"kernel must be 'isotropic', 'anisotropic', 'pool' or an array, got {kind!r}")


def basis_for(length: int, *, seed: int = 0, count: int = BASIS_KERNELS, **kernels: typing.Any) -> np.ndarray:
    """The PCA basis of a kernel distribution, from a fixed draw of it.

    Args:
      length: L.
      seed: of the draw.
      count: how many kernels are drawn.
      **kernels: kind, size, sigma, multiplicative_noise, isotropic_rate as in ``draw_kernels``.

    Returns:
      float32 [K², L].
    """
    return pca_basis(np.asarray(draw_kernels(jax.random.key(seed), count, **kernels)), length)
