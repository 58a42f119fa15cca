"""Convolution of images whose rows are split among devices: each one computes its rows and receives a few more."""

from __future__ import annotations

import functools
import typing

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from blindsr_jax.ops.winograd import Padding

ROWS = "rows"  # the mesh axis
Local = typing.Callable[[jax.Array, jax.Array, Padding, int], jax.Array]


def suits(x: jax.Array, kernel: jax.Array, padding: Padding, stride: int, mesh: Mesh) -> bool:
    """Whether every device has equally many rows of input and result, and halos that its neighbour holds."""
    rows, size, (top, bottom) = x.shape[1], kernel.shape[0], padding[0]
    share = rows // mesh.size
    whole = rows % (mesh.size * stride) == 0 and (rows + top + bottom - size) // stride + 1 == rows // stride
    return whole and top <= share and size - stride - top <= share


def convolve(x: jax.Array, kernel: jax.Array, padding: Padding, stride: int, mesh: Mesh, local: Local) -> jax.Array:
    """Convolve [B, H, W, C], whose rows are split along the axis ``rows``, by [k, k, C, C'].

    Args:
      x, kernel, padding, stride: see ``ops.convolution.convolve``; ``suits`` holds.
      mesh: the devices.
      local: the convolution of each device's rows.
    """
    top, below = padding[0][0], kernel.shape[0] - stride - padding[0][0]
    rows = PartitionSpec(None, ROWS)

    # Without check_vma the loops inside may start from constants.
    @functools.partial(jax.shard_map, mesh=mesh, in_specs=(rows, PartitionSpec()), out_specs=rows, check_vma=False)
    def of_rows(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return local(_with_halo(x, top, below, mesh.size), kernel, ((0, 0), padding[1]), stride)

    return of_rows(x, kernel)


def _with_halo(x: jax.Array, above: int, below: int, devices: int) -> jax.Array:
    """Put rows of the neighbours, or zeros at the ends of the image, above and below each device's rows."""
    parts = [x]
    if above:
        down = [(i, i + 1) for i in range(devices - 1)]
        parts.insert(0, jax.lax.ppermute(x[:, -above:], ROWS, down))
    if below:
        up = [(i + 1, i) for i in range(devices - 1)]
        parts.append(jax.lax.ppermute(x[:, :below], ROWS, up))
    return jnp.concatenate(parts, axis=1)
