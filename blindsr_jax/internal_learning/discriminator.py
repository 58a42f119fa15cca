"""KernelGAN's discriminator: does a patch look like one of the image? Seven layers with spectral normalisation.

A convolution of 7×7 comes first, without an activation. Five layers follow that see single pixels: a matrix product,
batch normalisation by the statistics of this one map, ReLU. The last one and a sigmoid give a map of answers.
"""

from __future__ import annotations

import functools
import math
import typing

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

_SIDE, _CHANNELS, _HIDDEN = 7, 64, 5
_EPSILON, _NORM_EPSILON = 1e-5, 1e-12
_matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


@flax.struct.dataclass
class Discriminator:
    """The trained numbers.

    Attributes:
      weights: of each of the seven layers, [inputs, outputs]; the inputs of the first are 7×7 pixels of 3 colours.
      biases: of each layer, [outputs].
      scales, shifts: of the batch normalisation of the five hidden layers, [64].
    """

    weights: tuple[typing.Any, ...]
    biases: tuple[typing.Any, ...]
    scales: tuple[typing.Any, ...]
    shifts: tuple[typing.Any, ...]


Vectors = tuple[tuple[typing.Any, typing.Any], ...]  # of each layer, of its outputs and of its inputs


def init_discriminator(rng: np.random.Generator) -> tuple[Discriminator, Vectors]:
    """Weights as the public code has them, and the vectors of the power iteration, in NumPy.

    The paper's Xavier distribution does not reach these weights: the code has normalised them before, and what it
    draws is overwritten. They keep PyTorch's uniform distribution of ±1/√inputs.
    """
    inputs = [_SIDE**2 * 3, *[_CHANNELS] * (_HIDDEN + 1)]
    outputs = [*[_CHANNELS] * (_HIDDEN + 1), 1]
    shapes = list(zip(inputs, outputs))
    weights = [rng.uniform(-1, 1, shape) / math.sqrt(shape[0]) for shape in shapes]
    vectors = [tuple(x / np.linalg.norm(x) for x in map(rng.standard_normal, shape[::-1])) for shape in shapes]
    biases = [np.zeros(fan_out) for fan_out in outputs]
    scales = [rng.normal(1, 0.02, _CHANNELS) for _ in range(_HIDDEN)]
    shifts = [np.zeros(_CHANNELS) for _ in range(_HIDDEN)]
    network = Discriminator(tuple(weights), tuple(biases), tuple(scales), tuple(shifts))
    return jax.tree.map(np.float32, (network, tuple(vectors)))


def discriminate(network: Discriminator, vectors: Vectors, image: jax.Array) -> tuple[jax.Array, Vectors]:
    """Judge every 7×7 patch of an image [H, W, 3] in [−1, 1]: a map [H − 6, W − 6] in (0, 1), 1 for real.

    Returns:
      The map, and the vectors after one power iteration.
    """
    normalised = [spectral_norm(weights, *pair) for weights, pair in zip(network.weights, vectors)]
    layers = [weights for weights, _ in normalised]
    patches = _patches(image)
    height, width, _ = patches.shape
    x = _matmul(patches.reshape(height * width, -1), layers[0]) + network.biases[0][None]
    for weights, bias, scale, shift in zip(layers[1:], network.biases[1:], network.scales, network.shifts):
        x = jax.nn.relu(_normalised(_matmul(x, weights) + bias[None]) * scale[None] + shift[None])
    x = _matmul(x, layers[-1]) + network.biases[-1][None]
    return jax.nn.sigmoid(x).reshape(height, width), tuple(pair for _, pair in normalised)


def spectral_norm(
    weights: jax.Array, of_outputs: jax.Array, of_inputs: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Divide weights [inputs, outputs] by their largest singular value (Miyato et al., ICLR 2018).

    One power iteration improves the singular vectors; the gradient does not flow through them.

    Returns:
      The divided weights, and the vectors of outputs and inputs.
    """
    fixed = jax.lax.stop_gradient(weights)
    of_inputs = _unit(_matmul(fixed, of_outputs))
    of_outputs = _unit(_matmul(of_inputs, fixed))
    return weights / _matmul(_matmul(of_inputs, weights), of_outputs), (of_outputs, of_inputs)


def _unit(vector: jax.Array) -> jax.Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), _NORM_EPSILON)


def _patches(image: jax.Array) -> jax.Array:
    """All patches of 7×7 pixels: [H − 6, W − 6, 147], rows, then columns, then colours."""
    height, width, _ = image.shape
    beside = jnp.concatenate([image[:, j : j + width - _SIDE + 1] for j in range(_SIDE)], axis=-1)
    return jnp.concatenate([beside[i : i + height - _SIDE + 1] for i in range(_SIDE)], axis=-1)


def _normalised(x: jax.Array) -> jax.Array:
    """Batch normalisation of pixels [N, C] by their own statistics."""
    centred = x - x.mean(axis=0, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.square(centred).mean(axis=0, keepdims=True) + _EPSILON)
