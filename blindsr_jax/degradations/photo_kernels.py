"""Samplers for the blur of ordinary photographs, caused by lenses and shaking hands."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.kernels import Range, anisotropic_gaussian, dirac, draw_uniform, isotropic_gaussian
from blindsr_jax.degradations.real_kernels import disk, generalized_gaussian, path_kernel
from blindsr_jax.errors import InputError


def sample_motion(key: jax.Array, count: int, *, size: int, length: Range = (1.0, 8.0)) -> jax.Array:
    """Draw the blur of a shaking camera: smooth, centred paths of constant speed that turn at random.

    Args:
      key: PRNG key.
      count: B.
      size: K, odd.
      length: range of the path's length in pixels, at most K − 1; zero gives the Dirac kernel.

    Returns:
      [B, K, K].

    Raises:
      InputError: the longest path does not fit into the kernel.
    """
    if length[1] > size - 1:
        raise InputError(
            f"a path of {length[1]} pixels does not fit into a {size}x{size} kernel: give {size - 1} at most"
        )
    steps = 2 * size  # at least two points per pixel
    key_length, key_start, key_turns = jax.random.split(key, 3)
    turns = jax.random.normal(key_turns, (count, steps)) * (1.7 / steps**0.5)  # about a right angle from end to end
    direction = draw_uniform(key_start, count, (-np.pi, np.pi))[:, None] + jnp.cumsum(turns, axis=1)
    path = jnp.cumsum(jnp.stack([jnp.sin(direction), jnp.cos(direction)], axis=-1), axis=1)
    path = (path - path.mean(axis=1, keepdims=True)) * (draw_uniform(key_length, count, length) / steps)[:, None, None]
    return path_kernel(path, size)


def sample_photo(
    key: jax.Array,
    count: int,
    *,
    size: int = 21,
    sigma: Range = (0.3, 3.0),
    none: float = 0.3,
    gaussian: float = 0.25,
    anisotropic: float = 0.1,
    defocus: float = 0.15,
    motion: float = 0.1,
    generalized: float = 0.1,
    aspect: float = 1.5,
    beta: Range = (0.5, 2.0),
) -> jax.Array:
    """Draw the blur of ordinary photographs: none, a lens, a lens out of focus, or a shaking hand.

    One range of widths serves all kinds, because a disk of radius 2σ has the standard deviation σ along an axis, and a
    straight path of length √12·σ has it along the path.

    Args:
      key: PRNG key.
      count: B.
      size: K, odd.
      sigma: range of widths; a path is never longer than K − 1.
      none, gaussian, anisotropic, defocus, motion, generalized: relative shares of the Dirac kernel, round and slightly
        oval Gaussians, disks, paths, and round generalised Gaussians.
      aspect: largest ratio of the oval Gaussians' widths; the smallest is one.
      beta: range of the generalised Gaussians' exponents.

    Returns:
      [B, K, K].
    """
    keys = jax.random.split(key, 6)
    width, theta = draw_uniform(keys[0], count, sigma), draw_uniform(keys[1], count, (-np.pi, np.pi))
    shortest, longest = (min(12**0.5 * bound, size - 1) for bound in sigma)
    kinds = jnp.stack(
        [
            jnp.broadcast_to(dirac(size), (count, size, size)),
            isotropic_gaussian(width, size),
            anisotropic_gaussian(width, width / draw_uniform(keys[2], count, (1.0, aspect)), theta, size),
            disk(2 * width, size),
            sample_motion(keys[3], count, size=size, length=(shortest, longest)),
            generalized_gaussian(width, width, 0.0, draw_uniform(keys[4], count, beta), size),
        ]
    )
    shares = jnp.asarray([none, gaussian, anisotropic, defocus, motion, generalized])
    return kinds[jax.random.choice(keys[5], len(kinds), (count,), p=shares / shares.sum()), jnp.arange(count)]
