"""Fourier transforms as products with matrices of cosines and sines, for sizes that are symbols.

XLA's FFT needs sizes in numbers, and other tools may have none. These products need neither. They take more arithmetic
than an FFT: H + W multiplications for each pixel.
"""

from __future__ import annotations

import functools
import typing

import jax
import jax.numpy as jnp

_product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


class Spectrum(typing.NamedTuple):
    """A two-dimensional Fourier transform, all frequencies.

    Attributes:
      real, imag: [B, H, W, C].
    """

    real: jax.Array
    imag: jax.Array

    def squared(self) -> Spectrum:
        """Return the square, the transform of the image convolved with itself."""
        return Spectrum(self.real * self.real - self.imag * self.imag, 2 * self.real * self.imag)

    def power(self) -> jax.Array:
        """Return the squared modulus."""
        return self.real * self.real + self.imag * self.imag


def transform(x: jax.Array, shape: tuple[typing.Any, typing.Any], origin: int = 0) -> Spectrum:
    """Transform images that are padded with zeros.

    Args:
      x: [B, h, w, C].
      shape: height and width of the padded images, numbers or symbols.
      origin: row and column of the pixel at the origin.

    Returns:
      The spectrum [B, H, W, C] of the images rolled by −origin.
    """
    cos_y, sin_y = _waves(shape[0], x.shape[1], origin)
    cos_x, sin_x = _waves(shape[1], x.shape[2], origin)
    even, odd = (_product("ky,byxc->bkxc", matrix, x) for matrix in (cos_y, sin_y))
    along_x = functools.partial(_product, "lx,bkxc->bklc")
    return Spectrum(along_x(cos_x, even) - along_x(sin_x, odd), -along_x(sin_x, even) - along_x(cos_x, odd))


def central_window(spectrum: Spectrum, size: int) -> jax.Array:
    """Compute the pixels around the origin of the image with this spectrum.

    Args:
      spectrum: of a real image.
      size: side of the window, odd.

    Returns:
      [B, size, size, C].
    """
    height, width = spectrum.real.shape[1:3]
    cos_y, sin_y = _waves(height, size, size // 2)
    cos_x, sin_x = _waves(width, size, size // 2)
    along_y = functools.partial(_product, "ky,bklc->bylc")
    even = along_y(cos_y, spectrum.real) - along_y(sin_y, spectrum.imag)
    odd = along_y(sin_y, spectrum.real) + along_y(cos_y, spectrum.imag)
    window = _product("lx,bylc->byxc", cos_x, even) - _product("lx,bylc->byxc", sin_x, odd)
    return window / (jnp.asarray(height, jnp.float32) * jnp.asarray(width, jnp.float32))


def _waves(period: typing.Any, places: typing.Any, origin: int) -> tuple[jax.Array, jax.Array]:
    """Return cosines and sines [period, places] of 2π k (n − origin) / period."""
    product = jnp.arange(period)[:, None] * (jnp.arange(places) - origin)[None]
    turns = (product % period).astype(jnp.float32) / jnp.asarray(period, jnp.float32)  # exact before the division
    return jnp.cos(2 * jnp.pi * turns), jnp.sin(2 * jnp.pi * turns)
