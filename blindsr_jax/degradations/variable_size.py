"""Resize each image of a batch to its own size, with array shapes that are known at compile time."""

from __future__ import annotations

import functools
import typing

import jax
import jax.numpy as jnp

from blindsr_jax.ops.resize import cubic_weight

Interpolation = typing.Literal["antialiased_bicubic", "box", "area", "bilinear", "bicubic"]


def resize_to(
    x: jax.Array,
    size: jax.Array,
    new_size: jax.Array,
    shape: tuple[int, int],
    kinds: typing.Sequence[Interpolation],
    kind: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Resize images of different sizes, each to its own size by its own interpolation.

    Each image fills the upper left part of its array. Beyond it, the border pixels of the result are repeated. Each
    axis is resized by one matrix product for each image.

    Args:
      x: [B, H, W, C].
      size: [B, 2], height and width of each image, at most H and W.
      new_size: [B, 2], new height and width, at most ``shape``.
      shape: height and width of the result's array.
      kinds: interpolations to choose from. ``antialiased_bicubic``: cubic (a = −0.5), widened when shrinking, as in
        MATLAB and Pillow; ``box``: the mean of the area that a pixel covers, bilinear when enlarging; ``area``: the
        mean of all pixels that it touches, as in PyTorch; ``bilinear`` and ``bicubic`` (a = −0.75): as in OpenCV and
        PyTorch by size, never widened, so that shrinking aliases.
      kind: [B], index of each image's interpolation in ``kinds``.

    Returns:
      The resized images [B, *shape, C], and the factors [B] by which the standard deviation of white noise changes.
    """
    gain = jnp.ones(len(x))
    for axis, length in enumerate(shape):
        options = [_weights(name, x.shape[axis + 1], size[:, axis], length, new_size[:, axis]) for name in kinds]
        weights = options[0]
        for number, option in enumerate(options[1:], 1):
            weights = jnp.where((kind == number)[:, None, None], option, weights)
        inside = jnp.arange(length)[None] < new_size[:, axis, None]
        power = jnp.where(inside, jnp.square(weights).sum(axis=2), 0).sum(axis=1) / new_size[:, axis]
        gain *= jnp.sqrt(power)
        equation = "boi,bihc->bohc" if axis == 0 else "boi,bhic->bhoc"
        x = jnp.einsum(equation, weights, x, precision=jax.lax.Precision.HIGHEST)
    return x, gain


def _weights(name: Interpolation, length: int, size: jax.Array, new_length: int, new_size: jax.Array) -> jax.Array:
    """Weights [B, new_length, length] of the input pixels in each output pixel along one axis."""
    size, new_size = size[:, None, None], new_size[:, None, None]
    ratio = size / new_size
    pixel = jnp.minimum(jnp.arange(new_length)[None, :, None], new_size - 1)  # the border is repeated beyond the image
    place = jnp.arange(length)[None, None]
    away = place - ((pixel + 0.5) * ratio - 0.5)  # [B, new_length, length]
    if name == "box":
        reach = jnp.maximum(ratio, 1.0) / 2
        weights = jnp.maximum(jnp.minimum(away + 0.5, reach) - jnp.maximum(away - 0.5, -reach), 0)
    elif name == "area":
        first, end = pixel * size // new_size, -((pixel + 1) * -size // new_size)
        weights = ((place >= first) & (place < end)).astype(away.dtype)
    elif name == "antialiased_bicubic":  # the border is a mirror: a pixel also counts where its images are
        stretch = jnp.maximum(ratio, 1.0)
        images = away, away - 2 * place - 1, away + 2 * (size - 1 - place) + 1
        weights = sum(cubic_weight(image / stretch) for image in images)
    else:  # the border is repeated: its pixels also count where their copies are
        kernel = _tent if name == "bilinear" else functools.partial(cubic_weight, a=-0.75)
        before, after = (sum(kernel(away + side * step) for step in (1, 2)) for side in (-1, 1))
        weights = kernel(away) + jnp.where(place == 0, before, 0) + jnp.where(place == size - 1, after, 0)
    weights = jnp.where(place < size, weights, 0)
    return weights / weights.sum(axis=-1, keepdims=True)


def _tent(distance: jax.Array) -> jax.Array:
    return jnp.maximum(1 - jnp.abs(distance), 0)
