"""Noise: the ``+ n`` of the degradation."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def add_awgn(key: jax.Array, x: jax.Array, sigma: jax.Array | float) -> jax.Array:
    """Adds white Gaussian noise, independent in every pixel and channel; not clipped.

    Args:
      key: PRNG key.
      x: [B, H, W, C] in [0, 1].
      sigma: standard deviation on the [0, 1] scale (a config's 15 is 15/255), a scalar or [B].

    Returns:
      [B, H, W, C].
    """
    sigma = jnp.broadcast_to(jnp.asarray(sigma, x.dtype), x.shape[:1])
    return x + sigma[:, None, None, None] * jax.random.normal(key, x.shape, x.dtype)
