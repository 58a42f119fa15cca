"""Random arrays with the numbers of ``jax.random``, compiled and drawn sooner.

JAX numbers the values of an array by their positions along every axis. XLA takes five times as long to compile that for
four axes as for two, and a third to a half longer to run it (``benchmarks/README.md``). So an array is drawn as a
matrix, one row for each place along its first axis, which keeps a batch divisible among devices.
"""

import math
import typing

import jax
import jax.numpy as jnp


def uniform(
    key: jax.Array,
    shape: tuple[int, ...],
    dtype: typing.Any = jnp.float32,
    minval: jax.typing.ArrayLike = 0.0,
    maxval: jax.typing.ArrayLike = 1.0,
) -> jax.Array:
    """Draw ``jax.random.uniform(key, shape, dtype, minval, maxval)``, for two bounds that are numbers."""
    return jax.random.uniform(key, _matrix(shape), dtype, minval, maxval).reshape(shape)


def normal(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """Draw ``jax.random.normal(key, shape, dtype)``."""
    return jax.random.normal(key, _matrix(shape), dtype).reshape(shape)


def truncated_normal(
    key: jax.Array, lower: float, upper: float, shape: tuple[int, ...], dtype: typing.Any = jnp.float32
) -> jax.Array:
    """Draw ``jax.random.truncated_normal(key, lower, upper, shape, dtype)``, for two bounds that are numbers."""
    return jax.random.truncated_normal(key, lower, upper, _matrix(shape), dtype).reshape(shape)


def _matrix(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) < 3 else (shape[0], math.prod(shape[1:]))
