"""Kernel samplers of published real degradations: mixtures of several kinds, with one draw per image.

Those of RealDAN are in ``realdan_kernels``.

Each sampler takes a PRNG key and a count B, and returns kernels [B, K, K] as in ``kernels``. All ranges are the lowest
and highest value of a uniform distribution, in HR pixels or radians, and static under jit.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.kernels import Range, anisotropic_gaussian, draw_uniform, isotropic_gaussian
from blindsr_jax.degradations.real_kernels import crop_kernel, generalized_gaussian, plateau, sinc_kernel
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
    support = draw_support(keys[6], count, size)
    sinc = sinc_kernel(cutoff(keys[7], support), size)
    return crop_kernel(instead(keys[8], sinc_rate, sinc, kernel), support)


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
    return crop_kernel(instead(keys[4], 0.5, rotated, round_ones), draw_support(keys[5], count, size))


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
    return instead(
        side, 0.5, draw_uniform(below, count, (bounds[0], 1.0)), draw_uniform(above, count, (1.0, bounds[1]))
    )


def instead(key: jax.Array, rate: float, chosen: jax.Array, otherwise: jax.Array) -> jax.Array:
    """Choose ``chosen`` for a random share ``rate`` of the batch, and ``otherwise`` for the rest."""
    mask = jax.random.bernoulli(key, rate, chosen.shape[:1])
    return jnp.where(mask.reshape(-1, *[1] * (chosen.ndim - 1)), chosen, otherwise)


def draw_support(key: jax.Array, count: int, size: int) -> jax.Array:
    """Draw odd numbers from 7 to K."""
    if size < 7:
        raise InputError(f"kernels with a support of 7 pixels or more need a size of at least 7, got {size}")
    return 2 * jax.random.randint(key, (count,), 3, size // 2 + 1) + 1


def cutoff(key: jax.Array, support: jax.Array) -> jax.Array:
    """Draw frequencies up to π, from π/3, or from π/5 if the support has 13 pixels or more."""
    lowest = jnp.where(support < 13, jnp.pi / 3, jnp.pi / 5)
    return lowest + jax.random.uniform(key, support.shape) * (jnp.pi - lowest)
