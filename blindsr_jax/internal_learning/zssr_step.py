"""ZSSR's network and one iteration of its training (Shocher et al., CVPR 2018, section 3)."""

from __future__ import annotations

import functools
import itertools
import math
import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.internal_learning.adam import Moments, adam
from blindsr_jax.ops.blur import blur
from blindsr_jax.ops.convolution import convolve
from blindsr_jax.ops.resize import s_fold_down

LAYERS, _CHANNELS = 8, 64
REACH = LAYERS  # pixels around a pixel that the network sees
_VARIANCE = 0.1  # of the first filters, times the number of inputs
_PADDING = ((1, 1), (1, 1))

Start = typing.Literal["he", "published"]
Filters = tuple[typing.Any, ...]  # [3, 3, C, C'] of each layer


def init_filters(rng: np.random.Generator, start: Start = "he") -> Filters:
    """Filters drawn from a normal distribution, in NumPy: 225,024 numbers.

    Args:
      rng: generator.
      start: ``published`` draws them with a variance of 0.1/inputs, so that the first results are those of
        interpolation to 1e-5 of a level, and hundreds of iterations change little. ``he`` keeps the variance of maps
        (He et al., ICCV 2015: 2/inputs) up to the last layer.
    """
    channels = [3, *[_CHANNELS] * (LAYERS - 1), 3]
    shapes = [(3, 3, *pair) for pair in itertools.pairwise(channels)]
    variances = [2.0 if start == "he" else _VARIANCE] * (LAYERS - 1) + [_VARIANCE]
    widths = [np.float32(math.sqrt(v / math.prod(shape[:3]))) for v, shape in zip(variances, shapes)]
    return tuple(width * rng.standard_normal(shape, np.float32) for width, shape in zip(widths, shapes))


def network(filters: Filters, enlarged: jax.Array, inside: jax.Array | None = None) -> jax.Array:
    """Add what interpolation lost: eight convolutions with zero padding and ReLU between them, and a skip.

    Args:
      filters: of each layer.
      enlarged: [H, W, 3], an interpolated image.
      inside: [H, W, 1], ones inside the image and zeros beyond its borders, for windows that reach beyond them; the
        result is then that of the whole image.

    Returns:
      [H, W, 3], not clipped.
    """
    x = enlarged[None]
    for i, layer in enumerate(filters):
        x = convolve(x, layer, _PADDING, filtered=True)
        x = jax.nn.relu(x) if i < len(filters) - 1 else x
        x = x if inside is None else x * inside[None]
    return enlarged + x[0]


def son_of(father: jax.Array, kernel: jax.Array, noise: jax.Array, scale: int) -> jax.Array:
    """Degrade an image as the LR image was: blur, the upper-left pixel of each block, noise, clipped.

    Args:
      father: [sH, sW, 3] in [0, 1].
      kernel: [K, K], a correlation kernel.
      noise: [H, W, 3].
      scale: s.
    """
    blurred = blur(father[None], kernel[None], "symmetric")
    return jnp.clip(s_fold_down(blurred, scale)[0] + noise, 0, 1)


def enlarge(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Interpolate [H, W, 3] by matrices [sH, H] of its rows and [sW, W] of its columns."""
    product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    return product("oh,hwc,pw->opc", rows, image, columns)


def loss_of(filters: Filters, enlarged: jax.Array, father: jax.Array, weights: jax.Array) -> jax.Array:
    """The mean over pixels and colours of |network − father| · weights; weights are [H, W]."""
    return (jnp.abs(network(filters, enlarged) - father) * weights[..., None]).mean()


@functools.partial(jax.jit, static_argnames="scale", donate_argnums=(0, 1))
def one_iteration(
    filters: Filters,
    moments: Moments,
    father: jax.Array,
    weights: jax.Array,
    kernel: jax.Array,
    interpolation: tuple[jax.Array, jax.Array],
    noise: jax.Array,
    rate: jax.Array,
    *,
    scale: int,
) -> tuple[Filters, Moments, jax.Array]:
    """One iteration: make a son of a father, and train the network to make the father of the son.

    One program serves all pictures and kernels of a scale, as long as fathers and kernels have one size.

    Args:
      filters, moments: the network and the state of Adam, as TensorFlow defines it.
      father: [sh, sw, 3], a crop of the picture in [0, 1].
      weights: [sh, sw], of its pixels in the loss.
      kernel, noise, scale: see ``son_of``.
      interpolation: see ``enlarge``.
      rate: learning rate.

    Returns:
      The new filters and moments, and the loss before the update.
    """
    enlarged = enlarge(son_of(father, kernel, noise, scale), *interpolation)
    loss, gradient = jax.value_and_grad(loss_of)(filters, enlarged, father, weights)
    filters, moments = adam(filters, gradient, moments, rate, corrected_epsilon=False)
    return filters, moments, loss


@functools.partial(jax.jit, static_argnames="side")
def crop(image: jax.Array, weights: jax.Array, corner: jax.Array, side: int) -> tuple[jax.Array, jax.Array]:
    """Cut a square of an image [H, W, 3] and of its weights [H, W]."""
    top, left = corner
    father = jax.lax.dynamic_slice(image, (top, left, 0), (side, side, 3))
    return father, jax.lax.dynamic_slice(weights, (top, left), (side, side))


apply = jax.jit(network)
