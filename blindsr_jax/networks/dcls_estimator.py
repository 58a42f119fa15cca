"""Estimator of DCLS: it makes a deep linear network for each image, whose impulse response is the kernel."""

from __future__ import annotations

import functools
import math
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.networks.chain import Chain
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.layers import ResidualBlock, conv, lrelu
from blindsr_jax.ops.draws import uniform

FILTER_SIZES = {11: (7, 3, 3, 1), 21: (11, 7, 5, 1), 31: (11, 9, 7, 5, 3)}  # of the linear network's layers, by K
CHANNELS = 16  # inside the linear network
_COLOURS = 3
_SLOPE = 0.1
_BLOCKS = 3
_FIRST_WIDTH = 0.8  # LR pixels: the kernel's width before training
_FIRST_SPREAD = 0.01  # of PyTorch's initial weights; so first kernels hardly depend on the image


class Estimator(nn.Module):
    """Estimates the kernel of LR images from their mean features.

    A latent code gives the filters of a linear network by one matrix for each layer. The kernel is the network's
    impulse response, the mean over three channels, divided by its sum. It may be negative in places.

    Before training it is a small blur, 0.8 pixels wide. This initialisation is ours: the sum of random filters may be
    near zero.

    Attributes:
      kernel_size: K, a key of ``FILTER_SIZES``.
      features: channels of the feature maps.
      latent_features: length of the latent code.
      softmax: take a softmax over the K² pixels before the division, so that no weight is negative.
      compute: see ``networks.compute``.
    """

    kernel_size: int = 21
    features: int = 64
    latent_features: int = 256
    softmax: bool = False
    compute: Compute = Compute()

    def setup(self) -> None:
        layer = functools.partial(conv, self.features, compute=self.compute)
        self.head = layer(7)
        self.body = Chain(functools.partial(ResidualBlock, _SLOPE, compute=self.compute), _BLOCKS, self.compute)
        self.tail1, self.tail2 = layer(3, padding=0), layer(3, padding=0)
        self.latent = conv(self.latent_features, 1, last=True, compute=self.compute)
        sizes = FILTER_SIZES[self.kernel_size]
        wide = sum(size > 1 for size in sizes)
        self.filters = [
            nn.Dense(
                inner * outer * size**2,
                kernel_init=_small_weights,
                bias_init=functools.partial(_first_filters, channels=(outer, inner), size=size, layers=wide),
            )
            for inner, outer, size in linear_layers(sizes)
        ]

    def latent_map(self, lr: jax.Array) -> jax.Array:
        """Return the map [B, H − 4, W − 4, features] of LR images whose mean gives the latent code."""
        x = self.head(lr)
        x = self.body(x) + x
        return self.tail2(lrelu(self.tail1(x), _SLOPE))

    def kernel_of(self, mean: jax.Array) -> jax.Array:
        """Return correlation kernels [B, K, K] from the mean [B, 1, 1, features] of the map.

        The authors' kernels are convolution kernels; these are turned by 180 degrees against them.
        """
        latent = self.latent(mean)[:, 0, 0]
        layers = linear_layers(FILTER_SIZES[self.kernel_size])
        filters = [
            dense(latent).reshape(-1, outer, inner, size, size)
            for dense, (inner, outer, size) in zip(self.filters, layers)
        ]
        kernel = impulse_response(filters).mean(axis=1)
        if self.softmax:
            kernel = nn.softmax(kernel.reshape(len(kernel), -1)).reshape(kernel.shape)
        return jnp.flip(kernel / kernel.sum(axis=(1, 2), keepdims=True), (1, 2))


def impulse_response(filters: list[jax.Array]) -> jax.Array:
    """Compute what a chain of convolutions makes of one bright pixel in all channels.

    A convolution multiplies spectra, and the result fits into the window, so nothing wraps around.

    Args:
      filters: [B, C', C, f, f] of each layer, with C channels before it and C' after it.

    Returns:
      [B, C', K, K] of the last layer, as a convolution kernel; K is one more than the sum of all f − 1.
    """
    size = 1 + sum(layer.shape[-1] - 1 for layer in filters)
    spectrum = jnp.ones((1, filters[0].shape[2], 1, 1), jnp.complex64)
    for layer in filters:
        spectrum = (jnp.fft.rfft2(layer, (size, size)) * spectrum[:, None]).sum(axis=2)
    return jnp.fft.irfft2(spectrum, (size, size))


def linear_layers(sizes: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Channels before and after each layer, and the size of its filters."""
    channels = [_COLOURS, *[CHANNELS] * (len(sizes) - 1), _COLOURS]
    return list(zip(channels[:-1], channels[1:], sizes))


def _small_weights(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    return uniform(key, shape, dtype, -1) * (_FIRST_SPREAD / math.sqrt(shape[0]))


def _first_filters(
    key: jax.Array, shape: tuple[int, ...], dtype: typing.Any, *, channels: tuple[int, int], size: int, layers: int
) -> jax.Array:
    """The flat filters [C', C, f, f] of a layer that blurs the mean over its channels; a filter of one pixel does not.

    Variances add up over layers.
    """
    beside = _FIRST_WIDTH**2 / layers / 2 if size > 1 else 0.0
    taps = np.zeros(size)
    taps[size // 2] = 1 - 2 * beside
    if size > 1:
        taps[[size // 2 - 1, size // 2 + 1]] = beside
    blur = np.outer(taps, taps) / channels[1]
    return jnp.broadcast_to(jnp.asarray(blur, dtype), (*channels, size, size)).reshape(shape)
