"""Noise: the ``+ n`` of the degradation. No function clips; levels are set per image and may be traced."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import check_images, check_range
from blindsr_jax.ops.draws import normal, uniform

_LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601, rounded as torchvision and BasicSR do
_FEW = 2.0  # photon counts with a smaller mean are drawn by exact inversion
_MOST_OF_FEW = 12  # such counts exceed this at most once in five million draws


def add_awgn(key: jax.Array, x: jax.Array, sigma: jax.Array | float, grey: jax.Array | bool = False) -> jax.Array:
    """Add white Gaussian noise, independent in every pixel.

    Args:
      key: PRNG key.
      x: [B, H, W, C] in [0, 1].
      sigma: standard deviation on the [0, 1] scale (a config's 15 is 15/255), a scalar or [B].
      grey: whether all channels of an image have the same noise instead of independent noise; a scalar or [B].

    Returns:
      [B, H, W, C].
    """
    check_images("x", x)
    return x + _level("sigma", sigma, x) * _shared(normal(key, x.shape, x.dtype), grey)


def add_speckle(key: jax.Array, x: jax.Array, sigma: jax.Array | float, grey: jax.Array | bool = False) -> jax.Array:
    """Add noise in proportion to the image: x + x·n, where n is the noise of ``add_awgn`` (BSRGAN+).

    The arguments and the result are those of ``add_awgn``.
    """
    check_images("x", x)
    return x + x * add_awgn(key, jnp.zeros_like(x), sigma, grey)


def add_correlated(key: jax.Array, x: jax.Array, sigma: jax.Array | float) -> jax.Array:
    """Add Gaussian noise that is white in space and correlated between colours (BSRGAN, section 3.3).

    Each image draws its covariance σ²·|UᵀDU|, with D diagonal and uniform in [0, 1], U the left singular vectors of a
    uniform 3×3 matrix, and the magnitude taken of every entry.

    Args:
      key: PRNG key.
      x: [B, H, W, 3] in [0, 1].
      sigma: bound of each channel's standard deviation on the [0, 1] scale, a scalar or [B]; BSRGAN's is 25/255.

    Returns:
      [B, H, W, 3].
    """
    check_images("x", x, channels=3)
    key_variance, key_axes, key_noise = jax.random.split(key, 3)
    variance = uniform(key_variance, (x.shape[0], 3, 1))
    axes = jnp.linalg.svd(uniform(key_axes, (x.shape[0], 3, 3)))[0]
    covariance = jnp.abs(jnp.swapaxes(axes, 1, 2) @ (variance * axes))
    values, vectors = jnp.linalg.eigh(covariance)
    root = vectors * jnp.sqrt(jnp.maximum(values, 0))[:, None]
    noise = jnp.einsum("bij,bhwj->bhwi", root.astype(x.dtype), normal(key_noise, x.shape, x.dtype))
    return x + _level("sigma", sigma, x) * noise


def add_poisson(
    key: jax.Array,
    x: jax.Array,
    scale: jax.Array | float = 1.0,
    grey: jax.Array | bool = False,
    counts: jax.Array | float | None = None,
) -> jax.Array:
    """Add scaled shot noise: x + scale · (Poisson(c·x₈)/c − x₈), with x₈ the 8-bit levels of x (Real-ESRGAN).

    The noise has the variance scale²·x₈/c. The photon counts come from normal draws by a Cornish-Fisher expansion,
    which is within 0.5 % of the distribution in total variation, or by exact inversion if the mean is below two. On a
    CPU this takes about a twentieth of the time of ``jax.random.poisson``.

    Args:
      key: PRNG key.
      x: [B, H, W, C] in [0, 1], C = 3 for grey noise.
      scale: a scalar or [B].
      grey: whether all channels of an image get the noise of its luma, a scalar or [B].
      counts: c, the number of photons in a white pixel, a scalar or [B]. By default it is the number of distinct 8-bit
        levels in the image (in its luma for grey noise), rounded up to a power of two, as in BasicSR. BSRGAN draws
        10^U[2, 4].

    Returns:
      [B, H, W, C].
    """
    source = check_images("x", x, channels=None if grey is False else 3)
    if grey is not False:
        luma = jnp.einsum("bhwc,c->bhw", x, jnp.asarray(_LUMA, x.dtype), precision=jax.lax.Precision.HIGHEST)
        source = jnp.where(_per_image(grey, x, bool), luma[..., None], x)
    levels = jnp.clip(jnp.round(source * 255), 0, 255)
    if counts is None:
        counts = _power_of_two(_distinct_levels(levels))
    counts = _per_image(counts, x)
    clean = levels / 255
    noise = _shared(_poisson(key, clean * counts) / counts - clean, grey)
    return x + _level("scale", scale, x) * noise


def _level(name: str, value: jax.Array | float, x: jax.Array) -> jax.Array:
    """An amount of noise, which is not negative, as [B, 1, 1, 1]."""
    check_range(name, value, 0)
    return _per_image(value, x)


def _per_image(value: jax.Array | float, x: jax.Array, dtype: jnp.dtype | type | None = None) -> jax.Array:
    """Reshape a scalar or [B] to [B, 1, 1, 1]."""
    if jnp.shape(value) not in ((), x.shape[:1]):
        raise InputError(f"expected one value, or one for each of {len(x)} images; got shape {jnp.shape(value)}")
    return jnp.broadcast_to(jnp.asarray(value, dtype or x.dtype), x.shape[:1])[:, None, None, None]


def _shared(noise: jax.Array, grey: jax.Array | bool) -> jax.Array:
    """Use the first channel's noise in all channels of images with grey noise."""
    return noise if grey is False else jnp.where(_per_image(grey, noise, bool), noise[..., :1], noise)


def _distinct_levels(levels: jax.Array) -> jax.Array:
    """Count the distinct levels, of 256, in each image: [B]."""
    flat = levels.reshape(len(levels), -1).astype(jnp.int32)
    return jax.vmap(lambda image: jnp.zeros(256, jnp.int32).at[image].set(1).sum())(flat)


def _power_of_two(number: jax.Array) -> jax.Array:
    """The smallest power of two that is at least this whole number from 1 to 256; exact, because it compares."""
    powers = 2 ** jnp.arange(9)
    return powers[jnp.searchsorted(powers, number)]


def _poisson(key: jax.Array, mean: jax.Array) -> jax.Array:
    """Draw Poisson values, each from one uniform number."""
    place = uniform(key, mean.shape, mean.dtype, minval=jnp.nextafter(jnp.float32(-1), jnp.float32(0)))
    standard = jnp.sqrt(2.0) * jax.lax.erf_inv(place)
    root = jnp.sqrt(jnp.maximum(mean, _FEW))
    # Third-order expansion of the quantile, raised by one half and rounded down: M. B. Giles, ACM TOMS 42.
    many = jnp.floor(mean + root * standard + standard**2 / 6 + 1 / 3 - (standard / 36 + standard**3 / 72) / root)

    small = jnp.minimum(mean, _FEW)
    few, term = jnp.zeros_like(mean), jnp.exp(-small)
    cumulative = term
    for count in range(1, _MOST_OF_FEW + 1):
        few += place / 2 + 0.5 > cumulative
        term *= small / count
        cumulative += term
    return jnp.where(mean < _FEW, few, jnp.maximum(many, 0))
