"""Kernel samplers of published real degradations: mixtures of several kinds, with one draw per image.

Each sampler takes a PRNG key and a count B, and returns kernels [B, K, K] as in ``kernels``. All ranges are the lowest
and highest value of a uniform distribution, in HR pixels or radians, and static under jit.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.kernels import Range, anisotropic_gaussian, dirac, draw_uniform, isotropic_gaussian
from blindsr_jax.degradations.real_kernels import (
    Radius,
    crop_kernel,
    generalized_gaussian,
    plateau,
    sinc_kernel,
)
from blindsr_jax.errors import InputError
from blindsr_jax.ops.resize import move_to_upper_left


def sample_real_esrgan(
    key: jax.Array,
    count: int,
    *,
    size: int = 21,
    sigma: Range = (0.2, 3.0),
    shares: tuple[float, float, float, float, float, float] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03),
    sinc_rate: float = 0.1,
    beta_generalized: Range = (0.5, 4.0),
    beta_plateau: Range = (1.0, 2.0),
) -> jax.Array:
    """Draw the kernels of Real-ESRGAN (section 3.1); the defaults are those of its first blur.

    The support is an odd number from 7 to K. Half of the exponents are drawn below one and half above. With the default
    range, half of the plateaus thus have an exponent of exactly one.

    Args:
      key: PRNG key.
      count: B.
      size: K, odd, at least 7.
      sigma: range of the widths along both axes; the angle is uniform.
      shares: shares of round Gaussians, other Gaussians, round and other generalised Gaussians, and round and other
        plateaus, in this order.
      sinc_rate: share of sinc kernels, which replace any of these.
      beta_generalized, beta_plateau: ranges of the exponents; each contains one.

    Returns:
      [B, K, K].
    """
    keys = jax.random.split(key, 9)
    sigma_x, sigma_y = (draw_uniform(k, count, sigma) for k in keys[:2])
    theta = draw_uniform(keys[2], count, (-np.pi, np.pi))
    kind = jax.random.choice(keys[3], 6, (count,), p=jnp.asarray(shares))
    sigma_y = jnp.where(kind % 2 == 0, sigma_x, sigma_y)
    beta = jnp.where(kind < 2, 1.0, _around_one(keys[4], count, beta_generalized))
    bells = generalized_gaussian(sigma_x, sigma_y, theta, beta, size)
    plateaus = plateau(sigma_x, sigma_y, theta, _around_one(keys[5], count, beta_plateau), size)
    kernel = jnp.where((kind < 4)[:, None, None], bells, plateaus)
    support = _draw_support(keys[6], count, size)
    sinc = sinc_kernel(_cutoff(keys[7], support), size)
    return crop_kernel(_instead(keys[8], sinc_rate, sinc, kernel), support)


def sample_realdan(
    key: jax.Array,
    count: int,
    *,
    size: int = 21,
    sigma: Range = (0.2, 3.0),
    isotropic_rate: float = 0.7,
    gaussian_rate: float = 0.85,
    generalized_rate: float = 0.15,
    sinc_rate: float = 0.1,
    beta_generalized: Range = (0.5, 4.0),
    beta_plateau: Range = (1.0, 2.0),
    radius: Radius = "euclidean",
) -> jax.Array:
    """Draw the kernels of RealDAN, with its widths (d/2 in place of d); the defaults are those of its first blur.

    The support is an odd number from 7 to K. K is twice as likely as each of the others.

    Args:
      key: PRNG key.
      count: B.
      size: K, odd, at least 7.
      sigma: range of the widths along both axes; the angle is uniform in a quarter turn.
      isotropic_rate: share of round kernels.
      gaussian_rate: share of Gaussians; the others are plateaus.
      generalized_rate: share of generalised Gaussians among the Gaussians.
      sinc_rate: share of sinc kernels, which replace any of these.
      beta_generalized, beta_plateau: ranges of the exponents.
      radius: ``squared`` for the sinc kernels of the public code; see ``sinc_kernel``.

    Returns:
      [B, K, K].
    """
    keys = jax.random.split(key, 11)
    sigma_x, sigma_y = (draw_uniform(k, count, sigma) for k in keys[:2])
    sigma_y = _instead(keys[2], isotropic_rate, sigma_x, sigma_y)
    theta = draw_uniform(keys[3], count, (0, np.pi / 2))
    beta = _instead(keys[4], generalized_rate, draw_uniform(keys[5], count, beta_generalized), jnp.ones(count))
    bells = generalized_gaussian(sigma_x, sigma_y, theta, beta, size, convention="realdan")
    beta = draw_uniform(keys[6], count, beta_plateau)
    kernel = _instead(keys[7], gaussian_rate, bells, plateau(sigma_x, sigma_y, theta, beta, size, convention="realdan"))
    support = jnp.minimum(2 * jax.random.randint(keys[8], (count,), 3, size // 2 + 2) + 1, size)
    sinc = sinc_kernel(_cutoff(keys[9], support), size, radius=radius)
    return crop_kernel(_instead(keys[10], sinc_rate, sinc, kernel), support)


def sample_sinc(
    key: jax.Array,
    count: int,
    *,
    size: int = 21,
    rate: float = 0.8,
    omega: Range | None = (np.pi / 3, np.pi),
    radius: Radius = "euclidean",
) -> jax.Array:
    """Draw the sinc kernels at the end of Real-ESRGAN's and RealDAN's degradations, or the Dirac kernel.

    Args:
      key: PRNG key.
      count: B.
      size: K, odd, at least 7; the support is an odd number from 7 to K.
      rate: share of sinc kernels.
      omega: range of the cutoff frequency in radians per pixel. None for RealDAN's range, which ends at π and begins at
        π/3, or at π/5 if the support has 13 pixels or more.
      radius: see ``sinc_kernel``.

    Returns:
      [B, K, K].
    """
    key_support, key_omega, key_rate = jax.random.split(key, 3)
    support = _draw_support(key_support, count, size)
    cutoff = draw_uniform(key_omega, count, omega) if omega else _cutoff(key_omega, support)
    sinc = crop_kernel(sinc_kernel(cutoff, size, radius=radius), support)
    return _instead(key_rate, rate, sinc, jnp.broadcast_to(dirac(size), sinc.shape))


def sample_bsrgan(key: jax.Array, count: int, *, scale: int, size: int = 25) -> jax.Array:
    """Draw the kernels of BSRGAN's blurs: half are rotated Gaussians, half are round (BSRGAN, section 3.1).

    The rotated Gaussians have variances between 0 and 4 + s along their axes. The round ones have widths between 0 and
    2 + 0.2·s. The support is an odd number from 7 to K.

    Args:
      key: PRNG key.
      count: B.
      scale: s.
      size: K, odd, at least 7.

    Returns:
      [B, K, K].
    """
    keys = jax.random.split(key, 6)
    width_x, width_y = (jnp.sqrt(draw_uniform(k, count, (0, 4 + scale))) for k in keys[:2])
    rotated = anisotropic_gaussian(width_x, width_y, draw_uniform(keys[2], count, (0, np.pi)), size)
    round_ones = isotropic_gaussian(draw_uniform(keys[3], count, (0, 2 + 0.2 * scale)), size)
    return crop_kernel(_instead(keys[4], 0.5, rotated, round_ones), _draw_support(keys[5], count, size))


def sample_bsrgan_down(key: jax.Array, count: int, *, scale: int, size: int = 25) -> jax.Array:
    """Draw the kernels before BSRGAN's s-fold sampling: round Gaussians centred on a block, not on its first pixel.

    Widths lie between 0.1 and 0.6·s. Bilinear interpolation moves the kernel by (s − 1)/2 pixels, so that
    ``s_fold_down`` samples the blurred picture at the blocks' centres.

    Args:
      key: PRNG key.
      count: B.
      scale: s.
      size: K, odd.

    Returns:
      [B, K, K].
    """
    kernel = isotropic_gaussian(draw_uniform(key, count, (0.1, 0.6 * scale)), size)
    moved = move_to_upper_left(kernel[..., None], scale)[:, ::-1, ::-1, 0]
    return moved / moved.sum(axis=(1, 2), keepdims=True)


def _around_one(key: jax.Array, count: int, bounds: Range) -> jax.Array:
    """Draw half of the values between the range's start and one, and the others between one and its end."""
    below, above, side = jax.random.split(key, 3)
    return _instead(
        side, 0.5, draw_uniform(below, count, (bounds[0], 1.0)), draw_uniform(above, count, (1.0, bounds[1]))
    )


def _instead(key: jax.Array, rate: float, chosen: jax.Array, otherwise: jax.Array) -> jax.Array:
    """Choose ``chosen`` for a random share ``rate`` of the batch, and ``otherwise`` for the rest."""
    mask = jax.random.bernoulli(key, rate, chosen.shape[:1])
    return jnp.where(mask.reshape(-1, *[1] * (chosen.ndim - 1)), chosen, otherwise)


def _draw_support(key: jax.Array, count: int, size: int) -> jax.Array:
    """Draw odd numbers from 7 to K."""
    if size < 7:
        raise InputError(f"kernels with a support of 7 pixels or more need a size of at least 7, got {size}")
    return 2 * jax.random.randint(key, (count,), 3, size // 2 + 1) + 1


def _cutoff(key: jax.Array, support: jax.Array) -> jax.Array:
    """Draw frequencies up to π, from π/3, or from π/5 if the support has 13 pixels or more."""
    lowest = jnp.where(support < 13, jnp.pi / 3, jnp.pi / 5)
    return lowest + jax.random.uniform(key, support.shape) * (jnp.pi - lowest)
