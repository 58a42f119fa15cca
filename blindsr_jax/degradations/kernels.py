"""Blur kernels: Gaussians with one or two widths, and the samplers that training draws them from.

A kernel is a correlation kernel that sums to one, [..., K, K], row (vertical) axis first. Widths are in HR pixels.
"""

from __future__ import annotations

import functools
import typing

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # brings in its parts when they are first used

from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import as_floating, check_floating, check_range, known
from blindsr_jax.ops.draws import uniform
from blindsr_jax.ops.resize import resize_matrix

Array = typing.TypeVar("Array", np.ndarray, jax.Array)
Range = tuple[float, float]  # lowest and highest value of a uniform distribution


def isotropic_gaussian(sigma: jax.Array | float, size: int) -> jax.Array:
    """Round Gaussian of width σ: exp(−r²/2σ²), normalised (DAN, setting 1).

    Args:
      sigma: width in pixels, any shape [...]; positive. Zero gives the Dirac kernel.
      size: K, odd.

    Returns:
      [..., K, K], summing to one; float32, or float64 for widths in float64, as all kernels here.

    Raises:
      InputError: a width is negative or not finite, or the size even.

    >>> [round(float(w), 4) for w in isotropic_gaussian(0.5, 3)[1]]
    [0.0838, 0.6193, 0.0838]
    """
    check_range("sigma", sigma, 0)
    sigma = as_floating(sigma)
    variance = jnp.maximum(jnp.square(sigma), 1e-6)[..., None, None]
    x, y = pixel_grid(size, sigma.ndim)
    return _normalised_exp(-(x**2 + y**2) / (2 * variance))


def anisotropic_gaussian(
    sigma_x: jax.Array | float,
    sigma_y: jax.Array | float,
    theta: jax.Array | float,
    size: int,
    noise: jax.Array | None = None,
) -> jax.Array:
    """Gaussian with covariance Σ = U diag(σx², σy²) Uᵀ, U the rotation by θ (DAN, setting 2).

    Coordinates are (x, y) = (column, row). θ turns the σx axis from +x towards +y, which is clockwise on screen because
    rows count downwards.

    Args:
      sigma_x, sigma_y: widths along the principal axes in pixels, any broadcastable shape [...]; zero acts as 0.001.
      theta: angle in radians, [...].
      size: K, odd.
      noise: [..., K, K] or None; each pixel is multiplied by (1 + noise) before normalising.

    Returns:
      [..., K, K], summing to one.

    Raises:
      InputError: as ``isotropic_gaussian``, or the noise is not finite.
    """
    kernel = _normalised_exp(-0.5 * squared_distance(sigma_x, sigma_y, theta, size))
    if noise is None:
        return kernel
    kernel = kernel * (1 + check_floating("noise", noise))
    return kernel / kernel.sum(axis=(-2, -1), keepdims=True)


def squared_distance(
    sigma_x: jax.Array | float, sigma_y: jax.Array | float, theta: jax.Array | float, size: int
) -> jax.Array:
    """Squared distance of each pixel from the centre in units of the widths: d = xᵀΣ⁻¹x, [..., K, K].

    The arguments are those of ``anisotropic_gaussian``, whose weights are exp(−d/2).
    """
    for name, value in (("sigma_x", sigma_x), ("sigma_y", sigma_y)):
        check_range(name, value, 0)
    check_range("theta", theta)
    sigma_x, sigma_y, theta = jnp.broadcast_arrays(*map(as_floating, (sigma_x, sigma_y, theta)))
    x, y = pixel_grid(size, theta.ndim)
    cos, sin = jnp.cos(theta)[..., None, None], jnp.sin(theta)[..., None, None]
    sigma_x, sigma_y = (jnp.maximum(sigma, 1e-3)[..., None, None] for sigma in (sigma_x, sigma_y))
    return jnp.square((cos * x + sin * y) / sigma_x) + jnp.square((cos * y - sin * x) / sigma_y)


def sample_isotropic(key: jax.Array, count: int, *, size: int, sigma: Range) -> jax.Array:
    """Draw round Gaussians with σ ~ U[sigma].

    Args:
      key: PRNG key.
      count: B.
      size: K, odd.
      sigma: lowest and highest width, pixels.

    Returns:
      [B, K, K].
    """
    return isotropic_gaussian(draw_uniform(key, count, sigma), size)


def sample_anisotropic(
    key: jax.Array,
    count: int,
    *,
    size: int,
    sigma: Range = (0.6, 5.0),
    multiplicative_noise: float = 0.25,
    isotropic_rate: float = 0.0,
) -> jax.Array:
    """Draw rotated Gaussians: σx, σy ~ U[sigma], θ ~ U[−π, π], each pixel times 1 + U[0, multiplicative_noise].

    With probability ``isotropic_rate`` a kernel is round: σy is set to σx before the covariance is computed. The public
    code has the same option but applies it after computing the covariance, where it has no effect.

    Args:
      key: PRNG key.
      count: B.
      size: K, odd.
      sigma: lowest and highest width, pixels.
      multiplicative_noise: largest relative increase of a pixel.
      isotropic_rate: probability in [0, 1].

    Returns:
      [B, K, K].
    """
    key_x, key_y, key_theta, key_round, key_noise = jax.random.split(key, 5)
    sigma_x = draw_uniform(key_x, count, sigma)
    sigma_y = draw_uniform(key_y, count, sigma)
    sigma_y = jnp.where(jax.random.bernoulli(key_round, isotropic_rate, (count,)), sigma_x, sigma_y)
    theta = draw_uniform(key_theta, count, (-np.pi, np.pi))
    noise = uniform(key_noise, (count, size, size), maxval=max(multiplicative_noise, 1e-12))
    return anisotropic_gaussian(sigma_x, sigma_y, theta, size, noise)


def sample_pool(key: jax.Array, count: int, pool: jax.Array) -> jax.Array:
    """Draw kernels uniformly from a finite set (``degradations.pools``).

    Args:
      key: PRNG key.
      count: B.
      pool: [N, K, K].

    Returns:
      [B, K, K].
    """
    return jnp.take(pool, jax.random.randint(key, (count,), 0, pool.shape[0]), axis=0)


def dirac(size: int) -> jax.Array:
    """The Dirac kernel, which does not blur and is DAN's initial guess: [K, K] with a one in the centre."""
    return jnp.zeros((size, size), jnp.float32).at[size // 2, size // 2].set(1.0)


def move_kernel(kernel: np.ndarray, offset: float = 0.0) -> np.ndarray:
    """Move a kernel's centre of mass to ``offset`` pixels below and right of the central pixel, by a cubic spline.

    KernelGAN's data set DIV2KRK moves its kernels so before it samples the upper-left pixel of each block. An offset of
    (s − 1)/2 makes that pixel a sample of the blurred image at the block's centre.

    Args:
      kernel: [K, K], odd K.
      offset: pixels, the same downwards and to the right.

    Returns:
      float64 [K, K]. It is not normalised again, so weights that move over the edge are lost.
    """
    kernel = np.asarray(kernel, np.float64)
    target = kernel.shape[0] // 2 + offset
    return scipy.ndimage.shift(kernel, target - np.array(scipy.ndimage.center_of_mass(kernel)))


def bicubic_equivalent_kernel(kernel: Array, scale: int) -> Array:
    """The kernel for which s-fold sampling equals blur by ``kernel`` and bicubic downsampling.

    Away from the borders, with k' = bicubic_equivalent_kernel(k, s), ``s_fold_down(blur(x, k'), s)`` equals
    ``imresize(blur(x, k), 1 / s)``. The kernel is widened by the bicubic one and moved to the blocks' centres.
    Solvers for s-fold sampling can thus use the estimate of a network that was trained with bicubic downsampling.

    Args:
      kernel: [..., K, K], odd K. NumPy's are computed in float64; JAX's may be traced.
      scale: s.

    Returns:
      float32 [..., K', K'], K' = K + 4·s or a little more, odd; with negative weights.
    """
    pixel = 8  # any pixel far from the border
    weights = resize_matrix(2 * pixel * scale, 1 / scale)[pixel]
    taps = np.flatnonzero(weights)
    reach = np.abs(taps - pixel * scale).max()
    centred = np.zeros(2 * reach + 1)
    centred[taps - pixel * scale + reach] = weights[taps]
    widen = scipy.linalg.convolution_matrix(centred, kernel.shape[-1])
    if isinstance(kernel, jax.Array):
        product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
        return product("oi,...ij,pj->...op", jnp.float32(widen), kernel, jnp.float32(widen)).astype(jnp.float32)
    return (widen @ kernel.astype(np.float64) @ widen.T).astype(np.float32)


def draw_uniform(key: jax.Array, count: int, bounds: Range) -> jax.Array:
    """Uniform draws [count] between the bounds."""
    low, high = map(known, bounds)
    if low is not None and high is not None and not low <= high:
        raise InputError(f"two bounds, the lowest first, are wanted; got {bounds}")
    return jax.random.uniform(key, (count,), minval=bounds[0], maxval=bounds[1])


def pixel_grid(size: int, batch_axes: int) -> tuple[jax.Array, jax.Array]:
    """Column and row coordinates of a K×K kernel, zero at its centre, with ``batch_axes`` leading axes of length 1."""
    if size < 1 or size % 2 == 0:
        raise InputError(f"a kernel's size must be odd and positive, got {size}")
    axis = jnp.arange(size, dtype=jnp.float32) - size // 2  # exact, whatever the precision of the widths
    leading = (1,) * batch_axes
    return axis.reshape(*leading, 1, size), axis.reshape(*leading, size, 1)


def _normalised_exp(exponent: jax.Array) -> jax.Array:
    kernel = jnp.exp(exponent)
    return kernel / kernel.sum(axis=(-2, -1), keepdims=True)
