"""Convolution whose gradient is fast on a CPU."""

from __future__ import annotations

import functools
import itertools
import math

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import Mesh

from blindsr_jax.ops import row_shards, winograd
from blindsr_jax.ops.symbolic import is_symbolic

CONVOLUTION = "convolution"  # checkpoint name of the results, for jax.checkpoint policies
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_CHUNK = 1024  # pixels whose patches are gathered at a time; their patches fit in a core's cache
_FEW_PIXELS = 64  # largest H · W for which XLA's gradient is as fast

Padding = winograd.Padding


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    padding: Padding,
    stride: int = 1,
    *,
    filtered: bool = False,
    rows: Mesh | None = None,
) -> jax.Array:
    """Convolve as neural networks do (a correlation), without bias.

    On a CPU, XLA computes the gradient with respect to the kernel as a convolution whose window is as large as the
    image. It reaches a half to a seventh of the rate of the forward pass (``benchmarks/README.md``). This function
    computes that gradient as matrix products of gathered patches, one image after another. If the batch is sharded,
    take the gradient inside ``jax.shard_map``; otherwise every device receives all images. Inside a loop, XLA's CPU
    gradients with respect to input and kernel are over twenty times slower still (jax-ml/jax#12868). This function is
    not affected.

    Args:
      x: [B, H, W, C].
      kernel: [k, k, C, C'].
      padding: number of zeros before and after, for rows and then for columns.
      stride: in pixels, the same on both axes.
      filtered: on a CPU, compute the result and its gradients by Winograd's filtering, see ``ops.winograd``.
      rows: the devices among which the rows of all images are split. Each computes its own rows, where
        ``ops.row_shards.suits`` holds; otherwise XLA decides.

    Returns:
      [B, H', W', C'].
    """
    if rows is None:
        return _on_device(x, kernel, padding, stride, filtered)
    if row_shards.suits(x, kernel, padding, stride, rows):
        return row_shards.convolve(x, kernel, padding, stride, rows, functools.partial(_on_device, filtered=filtered))
    return _on_device(x, kernel, padding, stride, False)


def _on_device(x: jax.Array, kernel: jax.Array, padding: Padding, stride: int, filtered: bool) -> jax.Array:
    if is_symbolic(*x.shape[:3]):  # exported: other tools know plain convolutions best
        y = _plain(x, kernel, padding, stride)
    elif x.shape[1:3] == kernel.shape[:2] == (1, 1) and not any(map(any, padding)):
        y = x @ kernel[0, 0]  # on a GPU, a convolution of so little is mostly its start
    elif stride == 1 and math.prod(x.shape[1:3]) > _FEW_PIXELS:
        y = _at_every_pixel(x, kernel, tuple(map(tuple, padding)), filtered)
    else:
        y = _plain(x, kernel, padding, stride)
    return checkpoint_name(y, CONVOLUTION)


def depthwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve each channel of each image with a kernel of its own (a correlation), with zeros around the image.

    It is a sum of shifted products. XLA's grouped convolution has one group for each image and channel, and is slow.

    Args:
      x: [B, H, W, C].
      kernel: [B, k, k, C], odd k, or [1, k, k, C] for all images.

    Returns:
      [B, H, W, C].
    """
    size, (height, width) = kernel.shape[1], x.shape[1:3]
    reach = size // 2
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    total = jnp.zeros_like(x)
    for i, j in itertools.product(range(size), repeat=2):
        total += padded[:, i : i + height, j : j + width] * kernel[:, i, j][:, None, None]
    return total


def _plain(x: jax.Array, kernel: jax.Array, padding: Padding, stride: int = 1) -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=_DIMENSIONS)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _at_every_pixel(x: jax.Array, kernel: jax.Array, padding: Padding, filtered: bool) -> jax.Array:
    plain = functools.partial(_plain, padding=padding)
    if filtered and winograd.suits(x, kernel, padding):
        by_winograd = functools.partial(winograd.convolve, padding=padding)
        return jax.lax.platform_dependent(x, kernel, cpu=by_winograd, default=plain)
    return plain(x, kernel)


def _forward(
    x: jax.Array, kernel: jax.Array, padding: Padding, filtered: bool
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _at_every_pixel(x, kernel, padding, filtered), (x, kernel)


def _backward(
    padding: Padding, filtered: bool, known: tuple[jax.Array, jax.Array], g: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = known
    flipped = jax.lax.optimization_barrier(kernel[::-1, ::-1].swapaxes(2, 3))  # else XLA flips it at every pixel
    to_x = _at_every_pixel(g, flipped, _opposite(padding, kernel.shape[0]), filtered)

    def by_xla(x: jax.Array, g: jax.Array) -> jax.Array:
        return jax.vjp(lambda kernel: _plain(x, kernel, padding), kernel)[1](g)[0]

    def on_cpu(x: jax.Array, g: jax.Array) -> jax.Array:
        if filtered and winograd.suits(x, kernel, padding):
            return winograd.kernel_gradient(x, g, padding)
        return _kernel_gradient(x, g, kernel.shape[0], padding).astype(kernel.dtype)

    return to_x, jax.lax.platform_dependent(x, g, cpu=on_cpu, default=by_xla)


_at_every_pixel.defvjp(_forward, _backward)


def _kernel_gradient(x: jax.Array, g: jax.Array, size: int, padding: Padding) -> jax.Array:
    """Return the kernel gradient [k, k, C, C'], the sum over pixels p of x[p + (i, j)] g[p].

    The sum over q of x[q] g[q − (i, j)] is equal. Patches are gathered from the array whose channels fill whole SIMD
    vectors.
    """
    if x.shape[-1] % 16 == 0 or g.shape[-1] % 16:
        return _patches_times_pixels(x, g, size, padding)
    return _patches_times_pixels(g, x, size, _opposite(padding, size))[::-1, ::-1].swapaxes(2, 3)


def _opposite(padding: Padding, size: int) -> Padding:
    """Return the padding of the transposed correlation, which maps the result back to the input."""
    (top, bottom), (left, right) = padding
    return (size - 1 - top, size - 1 - bottom), (size - 1 - left, size - 1 - right)


def _patches_times_pixels(x: jax.Array, y: jax.Array, size: int, padding: Padding) -> jax.Array:
    """Sum x[p + (i, j)] y[p] over all pixels p of y [B, H', W', D], in chunks of whole rows: [k, k, C, D]."""
    (batch, height, width, _), channels = y.shape, x.shape[-1]
    rows = max(n for n in range(1, height + 1) if height % n == 0 and (n == 1 or n * width <= _CHUNK))
    chunks = height // rows
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))

    def add_chunk(index: jax.Array, total: jax.Array) -> jax.Array:
        image, top = index // chunks, index % chunks * rows
        part = jax.lax.dynamic_slice_in_dim(padded[image], top, rows + size - 1)
        beside = jnp.concatenate([part[:, j : j + width] for j in range(size)], axis=-1)
        pixels = jax.lax.dynamic_slice_in_dim(y[image], top, rows).reshape(rows * width, -1).T
        # XLA has no fast product for a single einsum over both image axes.
        products = [
            jnp.matmul(pixels, beside[i : i + rows].reshape(rows * width, -1), preferred_element_type=jnp.float32)
            for i in range(size)
        ]
        return total + jnp.concatenate(products, axis=1)

    nothing = jnp.zeros((y.shape[-1], math.prod((size, size, channels))), jnp.float32)
    total = jax.lax.fori_loop(0, batch * chunks, add_chunk, nothing)
    return total.reshape(-1, size, size, channels).transpose(1, 2, 3, 0)
