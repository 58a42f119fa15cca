"""Blur kernels: Gaussians with one or two widths, and how training draws them.

A kernel is a correlation kernel that sums to one, [..., K, K], row (vertical) axis first; widths are in HR pixels.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # brings in its parts when they are first used

from blindsr_jax.ops.resize import resize_matrix


def isotropic_gaussian(sigma: jax.Array | float, size: int) -> jax.Array:
    """Round Gaussian of width σ: exp(−r²/2σ²), normalised (DAN, setting 1).

    Args:
      sigma: width in pixels, any shape [...]; positive. Zero gives the Dirac kernel.
      size: K, odd.

    Returns:
      [..., K, K], summing to one.

    >>> [round(float(w), 4) for w in isotropic_gaussian(0.5, 3)[1]]
    [0.0838, 0.6193, 0.0838]
    """
    sigma = jnp.asarray(sigma, float)
    variance = jnp.maximum(jnp.square(sigma), 1e-6)[..., None, None]
    x, y = _grid(size, sigma.ndim)
    return _normalised_exp(-(x**2 + y**2) / (2 * variance))


def anisotropic_gaussian(
    sigma_x: jax.Array | float,
    sigma_y: jax.Array | float,
    theta: jax.Array | float,
    size: int,
    noise: jax.Array | None = None,
) -> jax.Array:
    """Gaussian with covariance Σ = U diag(σx², σy²) Uᵀ, U the rotation by θ (DAN, setting 2).

    Coordinates are (x, y) = (column, row); θ turns the σx axis from +x towards +y, which on screen is clockwise since
    rows count downwards.

    Args:
      sigma_x, sigma_y: widths along the principal axes in pixels, any broadcastable shape [...].
      theta: angle in radians, [...].
      size: K, odd.
      noise: [..., K, K] or None; each pixel is multiplied by (1 + noise) before normalising.

    Returns:
      [..., K, K], summing to one.
    """
    sigma_x, sigma_y, theta = jnp.broadcast_arrays(*(jnp.asarray(v, float) for v in (sigma_x, sigma_y, theta)))
    x, y = _grid(size, theta.ndim)
    cos, sin = jnp.cos(theta)[..., None, None], jnp.sin(theta)[..., None, None]
    along, across = cos * x + sin * y, cos * y - sin * x
    exponent = -0.5 * (jnp.square(along / sigma_x[..., None, None]) + jnp.square(across / sigma_y[..., None, None]))
    kernel = _normalised_exp(exponent)
    if noise is None:
        return kernel
    kernel = kernel * (1 + noise)
    return kernel / kernel.sum(axis=(-2, -1), keepdims=True)


def sample_isotropic(key: jax.Array, count: int, *, size: int, sigma: tuple[float, float]) -> jax.Array:
    """Draws round Gaussians with σ ~ U[sigma].

    Args:
      key: PRNG key.
      count: B.
      size: K, odd.
      sigma: lowest and highest width, pixels.

    Returns:
      [B, K, K].
    """
    return isotropic_gaussian(jax.random.uniform(key, (count,), minval=sigma[0], maxval=sigma[1]), size)


def sample_anisotropic(
    key: jax.Array,
    count: int,
    *,
    size: int,
    sigma: tuple[float, float] = (0.6, 5.0),
    multiplicative_noise: float = 0.25,
    isotropic_rate: float = 0.0,
) -> jax.Array:
    """Draws rotated Gaussians: σx, σy ~ U[sigma], θ ~ U[−π, π], each pixel times 1 + U[0, multiplicative_noise].

    With probability ``isotropic_rate`` a kernel of the batch is round (σy = σx before the covariance is built). The
    public code has the same option, but applies it after building the covariance, where it changes nothing.

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
    sigma_x = jax.random.uniform(key_x, (count,), minval=sigma[0], maxval=sigma[1])
    sigma_y = jax.random.uniform(key_y, (count,), minval=sigma[0], maxval=sigma[1])
    sigma_y = jnp.where(jax.random.bernoulli(key_round, isotropic_rate, (count,)), sigma_x, sigma_y)
    theta = jax.random.uniform(key_theta, (count,), minval=-jnp.pi, maxval=jnp.pi)
    noise = jax.random.uniform(key_noise, (count, size, size), maxval=max(multiplicative_noise, 1e-12))
    return anisotropic_gaussian(sigma_x, sigma_y, theta, size, noise)


def sample_pool(key: jax.Array, count: int, pool: jax.Array) -> jax.Array:
    """Draws kernels of a finite set, each as likely as the others (``degradations.pools``).

    Args:
      key: PRNG key.
      count: B.
      pool: [N, K, K].

    Returns:
      [B, K, K].
    """
    return jnp.take(pool, jax.random.randint(key, (count,), 0, pool.shape[0]), axis=0)


def dirac(size: int) -> jax.Array:
    """The kernel that blurs nothing, and DAN's initial guess: [K, K] with a one in the centre."""
    return jnp.zeros((size, size)).at[size // 2, size // 2].set(1.0)


def move_kernel(kernel: np.ndarray, offset: float = 0.0) -> np.ndarray:
    """Puts a kernel's centre of mass ``offset`` pixels below and right of the central pixel, by a cubic spline.

    This is how KernelGAN's data set DIV2KRK moves its kernels before it samples the upper-left pixel of each block:
    with an offset of (s − 1)/2 that samples the blurred image in the blocks' centres.

    Args:
      kernel: [K, K], odd K.
      offset: pixels, downwards and to the right alike.

    Returns:
      float64 [K, K]; not normalised again: what is moved over the edge is lost.
    """
    kernel = np.asarray(kernel, np.float64)
    target = kernel.shape[0] // 2 + offset
    return scipy.ndimage.shift(kernel, target - np.array(scipy.ndimage.center_of_mass(kernel)))


def sampled_kernel(kernel: np.ndarray, scale: int) -> np.ndarray:
    """The kernel that does by itself, with the upper-left pixel of each block, what a kernel and bicubic do together.

    ``s_fold_down(blur(x, sampled_kernel(k, s)), s)`` equals ``imresize(blur(x, k), 1 / s)`` away from the borders: the
    kernel is widened by the bicubic one and moved to the blocks' centres. With it, solvers that are about s-fold
    sampling can use what an estimator says that was trained with bicubic downsampling.

    Args:
      kernel: [K, K], odd K.
      scale: s.

    Returns:
      float32 [K', K'], K' = K + 4·s or a little more, odd; with negative weights.
    """
    pixel = 8  # any one far from the border
    weights = resize_matrix(2 * pixel * scale, 1 / scale)[pixel]
    taps = np.flatnonzero(weights)
    reach = np.abs(taps - pixel * scale).max()
    centred = np.zeros(2 * reach + 1)
    centred[taps - pixel * scale + reach] = weights[taps]
    down = np.apply_along_axis(np.convolve, 0, np.float64(kernel), centred)
    return np.float32(np.apply_along_axis(np.convolve, 1, down, centred))


def _grid(size: int, batch_axes: int) -> tuple[jax.Array, jax.Array]:
    """Column and row coordinates of a K×K kernel, zero in its centre, behind so many axes of length one."""
    if size < 1 or size % 2 == 0:
        raise ValueError(f"a kernel's size must be odd and positive, got {size}")
    axis = jnp.arange(size, dtype=float) - size // 2
    leading = (1,) * batch_axes
    return axis.reshape(*leading, 1, size), axis.reshape(*leading, size, 1)


def _normalised_exp(exponent: jax.Array) -> jax.Array:
    kernel = jnp.exp(exponent)
    return kernel / kernel.sum(axis=(-2, -1), keepdims=True)
