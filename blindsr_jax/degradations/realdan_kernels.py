"""Kernel samplers of RealDAN and KernelDAN, and the numbers that their networks learn to find of each kernel.

A description has the same draws as the kernels of the same key. Its numbers lie between 0 and 1, and those that do not
shape a kernel are 0.
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.kernel_mixtures import cutoff, draw_support
from blindsr_jax.degradations.kernels import Range, dirac, draw_uniform
from blindsr_jax.degradations.real_kernels import Radius, crop_kernel, generalized_gaussian, plateau, sinc_kernel
from blindsr_jax.degradations.steps import share_of
from blindsr_jax.ops.draws import uniform
from blindsr_jax.papers import SETTING2_WIDTHS

_BETA = (0.5, 4.0)  # exponents of generalised Gaussians in RealDAN
_LOWEST_CUTOFF = np.pi / 5  # of all sinc kernels
_NARROWEST = 7  # pixels; the smallest support


class _Draws(typing.NamedTuple):
    """The numbers that describe RealDAN's kernels, [B] each."""

    sigma_x: jax.Array
    sigma_y: jax.Array
    theta: jax.Array
    round: jax.Array
    beta_bell: jax.Array
    beta_plateau: jax.Array
    bell: jax.Array
    support: jax.Array
    omega: jax.Array
    sinc: jax.Array


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
    beta_generalized: Range = _BETA,
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
    rates = isotropic_rate, gaussian_rate, generalized_rate, sinc_rate
    draws = _realdan_draws(key, count, size, sigma, rates, beta_generalized, beta_plateau)
    shape = draws.sigma_x, draws.sigma_y, draws.theta
    bells = generalized_gaussian(*shape, draws.beta_bell, size, convention="realdan")
    plateaus = plateau(*shape, draws.beta_plateau, size, convention="realdan")
    sinc = sinc_kernel(draws.omega, size, radius=radius)
    kernel = jnp.where(_each(draws.sinc), sinc, jnp.where(_each(draws.bell), bells, plateaus))
    return crop_kernel(kernel, draws.support)


def describe_realdan(
    key: jax.Array,
    count: int,
    *,
    size: int,
    sigma: Range,
    isotropic_rate: float,
    gaussian_rate: float,
    generalized_rate: float,
    sinc_rate: float,
    beta_generalized: Range,
    beta_plateau: Range,
    radius: Radius,
) -> jax.Array:
    """Return what the kernels of ``sample_realdan`` are made of, with the same arguments.

    Returns:
      [B, 8]: σx, σy, θ and β as shares of their ranges; whether it is a Gaussian; the support as a share; whether it is
      a sinc kernel; its ω as a share of π/5 … π.
    """
    rates = isotropic_rate, gaussian_rate, generalized_rate, sinc_rate
    draws = _realdan_draws(key, count, size, sigma, rates, beta_generalized, beta_plateau)
    theta = jnp.where(draws.round, 0, share_of(draws.theta, (0, np.pi / 2)))
    bell, flat = share_of(draws.beta_bell, beta_generalized), share_of(draws.beta_plateau, beta_plateau)
    widths = (share_of(width, sigma) for width in (draws.sigma_x, draws.sigma_y))
    shape = jnp.stack([*widths, theta, jnp.where(draws.bell, bell, flat), draws.bell], axis=-1)
    shape = jnp.where(draws.sinc[:, None], 0, shape)
    return jnp.concatenate([shape, _describe_cut(draws.support, draws.sinc, draws.omega, size)], axis=-1)


def _realdan_draws(
    key: jax.Array,
    count: int,
    size: int,
    sigma: Range,
    rates: tuple[float, float, float, float],
    beta_generalized: Range,
    beta_plateau: Range,
) -> _Draws:
    keys = jax.random.split(key, 11)
    sigma_x, sigma_y = (draw_uniform(k, count, sigma) for k in keys[:2])
    kinds = (jax.random.bernoulli(keys[i], rate, (count,)) for i, rate in zip((2, 7, 4, 10), rates))
    isotropic, bell, generalized, sinc = kinds
    support = jnp.minimum(2 * jax.random.randint(keys[8], (count,), 3, size // 2 + 2) + 1, size)
    return _Draws(
        sigma_x,
        jnp.where(isotropic, sigma_x, sigma_y),
        draw_uniform(keys[3], count, (0, np.pi / 2)),
        isotropic,
        jnp.where(generalized, draw_uniform(keys[5], count, beta_generalized), 1.0),
        draw_uniform(keys[6], count, beta_plateau),
        bell,
        support,
        cutoff(keys[9], support),
        sinc,
    )


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
    support, frequency, filtered = _sinc_draws(key, count, size, rate, omega)
    sinc = crop_kernel(sinc_kernel(frequency, size, radius=radius), support)
    return jnp.where(_each(filtered), sinc, dirac(size))


def describe_sinc(
    key: jax.Array, count: int, *, size: int, rate: float, omega: Range | None, radius: Radius
) -> jax.Array:
    """Return what the kernels of ``sample_sinc`` are made of, with the same arguments.

    Returns:
      [B, 3]: the last three numbers of ``describe_realdan``; zeros for the Dirac kernel.
    """
    support, frequency, filtered = _sinc_draws(key, count, size, rate, omega)
    return jnp.where(filtered[:, None], _describe_cut(support, filtered, frequency, size), 0)


def _sinc_draws(
    key: jax.Array, count: int, size: int, rate: float, omega: Range | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Draw the support, the cutoff frequency, and whether there is a filter."""
    key_support, key_omega, key_rate = jax.random.split(key, 3)
    support = draw_support(key_support, count, size)
    frequency = draw_uniform(key_omega, count, omega) if omega else cutoff(key_omega, support)
    return support, frequency, jax.random.bernoulli(key_rate, rate, (count,))


def sample_kerneldan(
    key: jax.Array, count: int, *, size: int, sigma: Range = SETTING2_WIDTHS, multiplicative_noise: float = 0.25
) -> jax.Array:
    """Draw the kernels of KernelDAN, which are like those of DIV2KRK: rotated Gaussians with noise.

    Each pixel is multiplied by 1 + U[−multiplicative_noise, multiplicative_noise].

    Args:
      key: PRNG key.
      count: B.
      size: K, odd.
      sigma: range of the widths along both axes; the angle is uniform in a quarter turn.
      multiplicative_noise: largest relative change of a pixel.

    Returns:
      [B, K, K].
    """
    sigma_x, sigma_y, theta, key_noise = _kerneldan_draws(key, count, sigma)
    kernel = generalized_gaussian(sigma_x, sigma_y, theta, jnp.ones(count), size, convention="realdan")
    noise = uniform(key_noise, kernel.shape, minval=-multiplicative_noise, maxval=multiplicative_noise)
    kernel = kernel * (1 + noise)
    return kernel / kernel.sum(axis=(1, 2), keepdims=True)


def describe_kerneldan(
    key: jax.Array, count: int, *, size: int, sigma: Range, multiplicative_noise: float
) -> jax.Array:
    """Return what the kernels of ``sample_kerneldan`` are made of, with the same arguments.

    Returns:
      [B, 8] as ``describe_realdan``. Widths are shares of 0.6 … 5 pixels, whatever their range. The last five numbers
      are constants, those of a Gaussian.
    """
    sigma_x, sigma_y, theta, _ = _kerneldan_draws(key, count, sigma)
    drawn = [*(share_of(width, SETTING2_WIDTHS) for width in (sigma_x, sigma_y)), share_of(theta, (0, np.pi / 2))]
    constants = [share_of(jnp.ones(count), _BETA), jnp.ones(count), *[jnp.zeros(count)] * 3]
    return jnp.stack(drawn + constants, axis=-1)


def _kerneldan_draws(key: jax.Array, count: int, sigma: Range) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    key_x, key_y, key_theta, key_noise = jax.random.split(key, 4)
    sigma_x, sigma_y = (draw_uniform(k, count, sigma) for k in (key_x, key_y))
    return sigma_x, sigma_y, draw_uniform(key_theta, count, (0, np.pi / 2)), key_noise


def _describe_cut(support: jax.Array, sinc: jax.Array, omega: jax.Array, size: int) -> jax.Array:
    """Return support, kind and cutoff frequency as shares, [B, 3]."""
    frequency = jnp.where(sinc, share_of(omega, (_LOWEST_CUTOFF, np.pi)), 0)
    return jnp.stack([share_of(support, (_NARROWEST, size)), sinc, frequency], axis=-1)


def _each(images: jax.Array) -> jax.Array:
    return images[:, None, None]
