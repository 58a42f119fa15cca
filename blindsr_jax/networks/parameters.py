"""Initial parameters, and modules that read theirs without computing the initial ones again."""

from __future__ import annotations

import math
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import ScopeParamShapeError

from blindsr_jax.ops.draws import truncated_normal, uniform

# The standard deviation of a standard normal distribution that is cut at ±2.
_TRUNCATED = 0.87962566103423978


class Parametric(nn.Module):
    """A module that reads the parameters it is given, and initialises only those that are missing.

    flax also traces the initialisation of those that are given, to compare shapes. That takes a third to a half of the
    time in which a network is traced. This class takes the shape from the initialiser's arguments.
    """

    @nn.nowrap
    def param(
        self, name: str, init_fn: nn.initializers.Initializer, shape: tuple[int, ...], *rest: typing.Any
    ) -> jax.Array:
        """Return a parameter, which the initialiser makes of the key, its shape and ``rest`` if it is not given."""
        if not self.has_variable("params", name):
            return super().param(name, init_fn, shape, *rest)
        given: jax.Array = nn.unbox(self.get_variable("params", name))
        if np.shape(given) != tuple(shape):
            assert self.scope is not None  # bound, or it would have no variables
            raise ScopeParamShapeError(name, self.scope.path_text, np.shape(given), tuple(shape))
        return given


def torch_uniform(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """PyTorch's default initialisation of convolutions: U[−1/√fan_in, 1/√fan_in]."""
    return uniform(key, shape, dtype, -1) * jnp.sqrt(3 * _variance(1 / 3, shape, dtype))


def he_normal(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """He initialisation (ICCV 2015, equation 10): of standard deviation √(2/fan_in), cut at twice that and widened."""
    return _cut_normal(key, shape, dtype, _variance(2, shape, dtype))


def lecun_normal(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """LeCun's initialisation: as He's, of standard deviation 1/√fan_in."""
    return _cut_normal(key, shape, dtype, _variance(1, shape, dtype))


def _cut_normal(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any, variance: jax.Array) -> jax.Array:
    return truncated_normal(key, -2, 2, shape, dtype) * (jnp.sqrt(variance) / jnp.array(_TRUNCATED, dtype))


def _variance(numerator: float, shape: tuple[int, ...], dtype: typing.Any) -> jax.Array:
    return jnp.array(numerator / math.prod(shape[:-1]), dtype)
