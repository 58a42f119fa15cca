"""KernelGAN's generator: six convolutions without biases or activations, which are one convolution.

So the kernel of that one convolution is computed from the weights, and applied. It is the same function of the same
weights with a thousandth of the multiplications. Without padding, output pixel (i, j) is the sum of the input rows
2i … 2i + 12 and columns 2j … 2j + 12.
"""

from __future__ import annotations

import functools
import math
import operator
import typing

import jax
import jax.numpy as jnp
import numpy as np

SIZES = (7, 5, 3, 1, 1, 1)  # sides of the six filters
KERNEL_SIZE = sum(SIZES) - len(SIZES) + 1  # 13
STRIDE = 2
_CHANNELS = 64
_GAIN = 0.1

Weights = tuple[typing.Any, ...]  # [k, k, C, C'] of each layer
_matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def init_generator(rng: np.random.Generator) -> Weights:
    """Weights drawn by Xavier's normal distribution with a gain of 0.1, in NumPy, which needs no compiling."""
    channels = [1, *[_CHANNELS] * (len(SIZES) - 1), 1]
    weights = []
    for size, fan_in, fan_out in zip(SIZES, channels, channels[1:]):
        width = _GAIN * math.sqrt(2 / (size**2 * (fan_in + fan_out)))
        weights.append(np.float32(width) * rng.standard_normal((size, size, fan_in, fan_out), np.float32))
    return tuple(weights)


def generator_kernel(weights: Weights) -> jax.Array:
    """The kernel [13, 13] of the six layers, a correlation kernel.

    The layers are joined from the last one, which has one output channel, so every product has few columns.
    """
    first, second, third, *points, last = weights
    ends = last[0, 0]  # [C, 1]
    for point in reversed(points):
        ends = _matmul(point[0, 0], ends)
    tail = _matmul(third, ends)[..., 0]  # [3, 3, C]
    for layer in (second, first):
        tail = _joined(layer, tail)
    return tail[..., 0]


def generate(kernel: jax.Array, crop: jax.Array) -> jax.Array:
    """Correlate every colour of a crop with the kernel, and keep every second pixel.

    Args:
      kernel: [K, K].
      crop: [H, W, 3].

    Returns:
      [(H − K)/2 + 1, (W − K)/2 + 1, 3], rounded down.
    """
    return strided_correlation(kernel, crop, STRIDE)


def strided_correlation(kernel: jax.Array, image: jax.Array, stride: int) -> jax.Array:
    """Correlate [H, W, C] with [K, K] without padding, and keep every pixel of the stride.

    The products of all rows with all rows of the kernel are one small matrix product, much faster on a CPU than XLA's
    convolution of three images of one channel, and so is the gradient.
    """
    size, (height, width, _) = kernel.shape[0], image.shape
    rows, columns = ((side - size) // stride + 1 for side in (height, width))
    reach = stride * (columns - 1) + 1
    beside = jnp.stack([image[:, j : j + reach : stride] for j in range(size)], axis=-1)  # [H, W', C, K]
    products = _matmul(beside, kernel.T)  # [H, W', C, K]: by row of the kernel
    reach = stride * (rows - 1) + 1
    return functools.reduce(operator.add, (products[i : i + reach : stride, :, :, i] for i in range(size)))


def _joined(layer: jax.Array, tail: jax.Array) -> jax.Array:
    """The kernel [k + K − 1, k + K − 1, C] of a layer [k, k, C, C'] before a kernel [K, K, C']."""
    size, channels = layer.shape[0], layer.shape[2]
    side = tail.shape[0]
    table = _matmul(layer, tail.reshape(side**2, -1).T)  # [k, k, C, K²]
    table = table.reshape(size, size, channels, side, side).transpose(0, 3, 1, 4, 2)
    rows = _sum_of_shifted(table)  # [k + K − 1, k, K, C]
    return _sum_of_shifted(rows.transpose(1, 2, 0, 3)).transpose(1, 0, 2)


def _sum_of_shifted(table: jax.Array) -> jax.Array:
    """Sum [k, K, …] over its first axis, entry i shifted by i places along the second: [k + K − 1, …].

    Padded to k + K places and read with rows of k + K − 1, row i is shifted by i places.
    """
    size, side, *rest = table.shape
    padded = jnp.pad(table, [(0, 0), (0, size), *[(0, 0)] * len(rest)])
    flat = padded.reshape(size * (side + size), *rest)[:-size]
    return flat.reshape(size, side + size - 1, *rest).sum(axis=0)
