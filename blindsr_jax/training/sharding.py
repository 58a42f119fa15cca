"""Placement of arrays: one mesh axis ``data`` over all devices. Batches are split along it, the rest is replicated."""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from blindsr_jax.cores import cores, use_cores
from blindsr_jax.errors import ConfigError


def use_all_cores(batch_size: int) -> None:
    """Make JAX devices of as many of this machine's CPU cores as divide a batch evenly; see ``cores.use_cores``.

    Args:
      batch_size: number of images in a batch.
    """
    use_cores(cores_that_share(batch_size))


def cores_that_share(batch_size: int) -> int:
    """The largest number of this machine's cores that divides a batch evenly."""
    return max(n for n in range(1, cores() + 1) if batch_size % n == 0)


def device_is_core(mesh: Mesh) -> bool:
    """Whether the devices are CPU devices, at least one for each core of this machine."""
    return mesh.local_mesh.size >= cores() and mesh.devices.flat[0].platform == "cpu"


def blocks_a_turn(mesh: Mesh) -> int:
    """The number of a chain's blocks in a turn of its loop: on GPUs 4, which saves two of five kernels."""
    return 4 if mesh.devices.flat[0].platform == "gpu" else 1


def data_mesh() -> Mesh:
    """All devices of all processes on one axis, ``data``."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of parameters and optimiser state: a whole copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """The sharding of batches: the first axis split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def connect(mesh: Mesh) -> None:
    """Let all devices exchange a number. All processes call it together, before they compile their programs.

    The first exchange connects the devices. On CPUs XLA allows 30 seconds for it, and compilation would make some
    processes late. Later exchanges wait without this limit.
    """
    if jax.process_count() > 1:
        ones = put_batch(mesh, np.ones(jax.local_device_count(), np.float32))
        jax.jit(jnp.sum, out_shardings=replicated(mesh))(ones).block_until_ready()


def on_one_device(tree: typing.Any) -> typing.Any:
    """This process's copy of replicated arrays, for computations that it does alone."""
    return jax.tree.map(lambda array: array.addressable_data(0), tree)


def check_batch_size(mesh: Mesh, batch_size: int, accumulate: int = 1) -> None:
    """Raise ConfigError unless every device gets equally many images, divisible into ``accumulate`` equal parts."""
    shares = mesh.devices.size * accumulate
    if batch_size % shares:
        lower, upper = batch_size // shares * shares, (batch_size // shares + 1) * shares
        parts = f", each in {accumulate} parts" if accumulate > 1 else ""
        raise ConfigError(
            f"config.data.batch_size of {batch_size} cannot be split evenly over {mesh.devices.size} devices{parts}: "
            f"take {f'{lower} or ' if lower else ''}{upper}"
        )


def put_batch(mesh: Mesh, share: np.ndarray) -> jax.Array:
    """Assemble the global batch from each process's share: [B / processes, …] -> [B, …], split over the devices."""
    return jax.make_array_from_process_local_data(split(mesh), share)
