"""Border handling for FFT operators, which treat an image as periodic."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.ops.arguments import check_images


def wrap_smoothly(lr: jax.Array, reach: int) -> jax.Array:
    """Extend images at the bottom and on the right so that their periodic repetition has no jump.

    The added pixels fade (by a raised cosine) from the image mirrored at its end to the image mirrored at its start.

    Args:
      lr: [B, H, W, C].
      reach: pixels to add on each axis.

    Returns:
      [B, H + reach, W + reach, C].
    """
    check_images("lr", lr)
    for axis in (1, 2):
        length = lr.shape[axis]
        mirrored = np.pad(np.arange(length), reach, mode="symmetric")
        after, before = mirrored[length + reach :], mirrored[:reach]
        place = (np.arange(reach) + 0.5) / reach
        weight = jnp.asarray((1 - np.cos(np.pi * place)) / 2, lr.dtype)
        weight = weight.reshape([-1 if a == axis else 1 for a in range(lr.ndim)])
        added = (1 - weight) * jnp.take(lr, after, axis=axis) + weight * jnp.take(lr, before, axis=axis)
        lr = jnp.concatenate([lr, added], axis=axis)
    return lr
