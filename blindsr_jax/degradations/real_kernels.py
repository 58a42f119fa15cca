"""Blur kernels beyond the Gaussian, as in real photographs and their processing.

As in ``kernels``, these are correlation kernels [..., K, K] that sum to one, row (vertical) axis first, with widths in
HR pixels. Widths, angles and exponents may be traced. The size is static; ``crop_kernel`` makes the support smaller,
which may be traced.
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.kernels import pixel_grid, squared_distance
from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import as_floating, check_floating, check_range

Convention = typing.Literal["basicsr", "realdan"]
Radius = typing.Literal["euclidean", "squared"]


def generalized_gaussian(
    sigma_x: jax.Array | float,
    sigma_y: jax.Array | float,
    theta: jax.Array | float,
    beta: jax.Array | float,
    size: int,
    *,
    convention: Convention = "basicsr",
) -> jax.Array:
    """Generalised Gaussian: exp(−d^β / 2), normalised, with d as in ``squared_distance`` (Real-ESRGAN, section 3.1).

    β = 1 is the Gaussian; smaller exponents have a sharp peak and long tails, larger ones a flat top.

    Args:
      sigma_x, sigma_y: widths along the principal axes in pixels, any broadcastable shape [...].
      theta: angle in radians as in ``anisotropic_gaussian``, [...].
      beta: exponent, positive, [...].
      size: K, odd.
      convention: ``basicsr``, or ``realdan`` for the form in RealDAN's public code: exp(−(d/2)^β), with σx and σy
        exchanged.

    Returns:
      [..., K, K].

    Raises:
      InputError: the size is even, or the convention unknown.
    """
    power = _power_of_distance(sigma_x, sigma_y, theta, beta, size, convention)
    return _normalised(jnp.exp(-power if convention == "realdan" else -power / 2))


def plateau(
    sigma_x: jax.Array | float,
    sigma_y: jax.Array | float,
    theta: jax.Array | float,
    beta: jax.Array | float,
    size: int,
    *,
    convention: Convention = "basicsr",
) -> jax.Array:
    """Plateau-shaped kernel: 1 / (1 + d^β), normalised (Real-ESRGAN, section 3.1).

    The arguments, the result and the errors are those of ``generalized_gaussian``. ``realdan`` replaces d by d/2, which
    widens the kernel, and exchanges σx and σy.
    """
    return _normalised(1 / (1 + _power_of_distance(sigma_x, sigma_y, theta, beta, size, convention)))


def sinc_kernel(omega: jax.Array | float, size: int, *, radius: Radius = "euclidean") -> jax.Array:
    """Circular ideal low-pass filter: ω J₁(ωr) / (2πr), normalised. It rings and overshoots like resampling.

    Args:
      omega: cutoff frequency in radians per pixel, any shape [...]; at most π, which removes almost nothing.
      size: K, odd.
      radius: ``euclidean``, or ``squared`` for RealDAN's public code, which uses r² where the formula has r.

    Returns:
      [..., K, K], with negative weights.

    Raises:
      InputError: the size is even, or the radius unknown.
    """
    if radius not in typing.get_args(Radius):
        raise InputError(f"radius must be one of {typing.get_args(Radius)}, got {radius!r}")
    check_range("omega", omega, 0)
    omega = as_floating(omega)[..., None, None]
    x, y = pixel_grid(size, omega.ndim - 2)
    distance = x**2 + y**2
    if radius == "euclidean":
        distance = jnp.sqrt(distance)
    return _normalised(jinc(omega * distance) * omega**2)


def jinc(x: jax.Array) -> jax.Array:
    """J₁(x)/x, with J₁ the Bessel function of the first kind, for x ≥ 0; ½ at zero.

    Below 16 the value is Bessel's integral by the midpoint rule, which converges faster than any power because the
    integrand is periodic. Above, it is Hankel's asymptotic series (Abramowitz and Stegun 9.2.5). In float32 the error
    of x · jinc(x) is at most 5e-7 up to x = 640.

    >>> round(float(3 * jinc(jnp.float32(3))), 5)
    0.33906
    """
    quarter = np.sin((np.arange(10) + 0.5) * np.pi / 20)  # of the period, by symmetry
    sines = jnp.asarray(quarter, x.dtype).reshape(-1, *[1] * x.ndim)
    near = (sines**2 * jnp.sinc(x[None] * sines / jnp.pi)).mean(axis=0)
    far = jnp.maximum(x, 16.0)
    even = 1 + 15 / 128 / far**2 - 4725 / 32768 / far**4
    odd = 3 / 8 / far - 105 / 1024 / far**3
    phase = far - 0.75 * jnp.pi
    series = jnp.sqrt(2 / jnp.pi / far**3) * (even * jnp.cos(phase) - odd * jnp.sin(phase))
    return jnp.where(x < 16, near, series)


def disk(radius: jax.Array | float, size: int) -> jax.Array:
    """Uniform disk, the blur of a lens out of focus. Each weight is the share of the pixel that the disk covers.

    Args:
      radius: pixels, any shape [...]; up to half a pixel gives the Dirac kernel.
      size: K, odd.

    Returns:
      [..., K, K].
    """
    check_range("radius", radius, 0)
    radius = jnp.maximum(as_floating(radius), 0.5)[..., None, None]
    x, y = pixel_grid(size, radius.ndim - 2)
    # Columns within each pixel, which the disk covers from −height to height.
    place = jnp.asarray((np.arange(16) + 0.5) / 16 - 0.5, radius.dtype).reshape(-1, *[1] * x.ndim)
    square = jnp.square(radius)[None] - jnp.square(x[None] + place)
    reached = square > 0
    height = jnp.where(reached, jnp.sqrt(jnp.where(reached, square, 1)), 0)  # the root has no gradient at zero
    covered = jnp.maximum(jnp.minimum(height, y[None] + 0.5) - jnp.maximum(-height, y[None] - 0.5), 0).mean(axis=0)
    return _normalised(covered + jnp.swapaxes(covered, -1, -2))


def path_kernel(points: jax.Array, size: int) -> jax.Array:
    """The blur of a camera that moves along a path and spends the same time at each point.

    A point's weight is divided bilinearly among the four pixels around it.

    Args:
      points: [..., P, 2], row and column relative to the central pixel; points outside the window are ignored.
      size: K, odd.

    Returns:
      [..., K, K]. Its centre of mass is the mean of the points if all of them lie in the window.
    """
    points = as_floating(check_floating("points", points))
    x, _ = pixel_grid(size, points.ndim - 1)
    rows, columns = (jnp.maximum(1 - jnp.abs(x - points[..., axis, None, None]), 0)[..., 0, :] for axis in (0, 1))
    return _normalised(jnp.einsum("...pi,...pj->...ij", rows, columns, precision=jax.lax.Precision.HIGHEST))


def crop_kernel(kernel: jax.Array, support: jax.Array | int) -> jax.Array:
    """Set kernels to zero outside their central pixels and normalise them again; the array's size stays.

    Args:
      kernel: [..., K, K].
      support: side of the central part, odd, [...]; may be traced. A value larger than K cuts nothing.

    Returns:
      [..., K, K], zero outside the central support × support pixels.
    """
    check_floating("kernel", kernel)
    check_range("support", support, 1)
    support = jnp.broadcast_to(jnp.asarray(support), kernel.shape[:-2])[..., None, None]
    x, y = pixel_grid(kernel.shape[-1], kernel.ndim - 2)
    return _normalised(jnp.where(2 * jnp.maximum(jnp.abs(x), jnp.abs(y)) < support, kernel, 0))


def _power_of_distance(
    sigma_x: jax.Array | float,
    sigma_y: jax.Array | float,
    theta: jax.Array | float,
    beta: jax.Array | float,
    size: int,
    convention: Convention,
) -> jax.Array:
    """d^β, or RealDAN's (d/2)^β, with a finite gradient also at d = 0."""
    if convention not in typing.get_args(Convention):
        raise InputError(f"convention must be one of {typing.get_args(Convention)}, got {convention!r}")
    check_range("beta", beta, 0)
    sigma_x, sigma_y, theta, beta = jnp.broadcast_arrays(*map(as_floating, (sigma_x, sigma_y, theta, beta)))
    if convention == "realdan":
        distance = squared_distance(sigma_y, sigma_x, theta, size) / 2
    else:
        distance = squared_distance(sigma_x, sigma_y, theta, size)
    return jnp.maximum(distance, 1e-30) ** beta[..., None, None]


def _normalised(kernel: jax.Array) -> jax.Array:
    return kernel / kernel.sum(axis=(-2, -1), keepdims=True)
