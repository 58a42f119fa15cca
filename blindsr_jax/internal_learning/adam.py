"""Adam (Kingma and Ba, ICLR 2015), without a library for training: restoring needs none."""

from __future__ import annotations

import typing

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

_EPSILON = 1e-8
Parameters = typing.Any  # a tree of arrays


@flax.struct.dataclass
class Moments:
    """The state of Adam: the means of the gradient and of its square, and the number of updates."""

    mean: Parameters
    square: Parameters
    count: typing.Any


def no_moments(parameters: Parameters) -> Moments:
    """The state before the first update, in NumPy."""
    zeros = jax.tree.map(np.zeros_like, parameters)
    return Moments(zeros, jax.tree.map(np.copy, zeros), np.zeros((), np.int32))


def adam(
    parameters: Parameters,
    gradient: Parameters,
    moments: Moments,
    rate: jax.Array | float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    corrected_epsilon: bool = True,
) -> tuple[Parameters, Moments]:
    """One update.

    Args:
      parameters, gradient: trees of the same form.
      moments: the state.
      rate: learning rate.
      betas: decay of the two means.
      corrected_epsilon: add ε to √v̂ as PyTorch does; False adds it to √v, before the correction of the bias, as
        TensorFlow does.

    Returns:
      The new parameters and the new state.
    """
    count = moments.count + 1
    first, second = (1 - beta ** count.astype(jnp.float32) for beta in betas)
    rate = rate * jnp.sqrt(second) / first
    epsilon = _EPSILON * (jnp.sqrt(second) if corrected_epsilon else 1.0)
    mean = jax.tree.map(lambda m, g: betas[0] * m + (1 - betas[0]) * g, moments.mean, gradient)
    square = jax.tree.map(lambda v, g: betas[1] * v + (1 - betas[1]) * g * g, moments.square, gradient)
    moved = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + epsilon), parameters, mean, square)
    return moved, Moments(mean, square, count)
