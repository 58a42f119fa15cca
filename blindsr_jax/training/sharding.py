"""Where arrays live: one mesh axis ``data`` over every device there is; batches split along it, the rest everywhere."""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from blindsr_jax.errors import ConfigError


def data_mesh() -> Mesh:
    """All devices of all processes on one axis, ``data``."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Whole on every device: parameters and optimiser state."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """First axis cut over the devices: batches."""
    return NamedSharding(mesh, PartitionSpec("data"))


def connect(mesh: Mesh) -> None:
    """Lets all devices exchange a number; together, before their programs are compiled, which takes some longer.

    The first exchange connects them, for which CPUs are given 30 seconds by XLA; later ones may wait for each other.
    """
    if jax.process_count() > 1:
        ones = put_batch(mesh, np.ones(jax.local_device_count(), np.float32))
        jax.jit(jnp.sum, out_shardings=replicated(mesh))(ones).block_until_ready()


def on_one_device(tree: typing.Any) -> typing.Any:
    """This process's own copy of arrays that are whole on every device, for what it computes by itself."""
    return jax.tree.map(lambda array: array.addressable_data(0), tree)


def check_batch_size(mesh: Mesh, batch_size: int) -> None:
    """Raises ConfigError unless every device gets equally many images."""
    devices = mesh.devices.size
    if batch_size % devices:
        lower, upper = batch_size // devices * devices, (batch_size // devices + 1) * devices
        raise ConfigError(
            f"config.data.batch_size of {batch_size} cannot be split evenly over {devices} devices: "
            f"take {f'{lower} or ' if lower else ''}{upper}"
        )


def put_batch(mesh: Mesh, share: np.ndarray) -> jax.Array:
    """The global batch from every process's share: [B / processes, …] -> [B, …], split over the devices."""
    return jax.make_array_from_process_local_data(split(mesh), share)
