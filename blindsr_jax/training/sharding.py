"""Where arrays live: one mesh axis ``data`` over every device there is; batches split along it, the rest everywhere."""

from __future__ import annotations

import os
import typing

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from blindsr_jax.errors import ConfigError


def use_all_cores(batch_size: int) -> None:
    """Makes devices of the cores of this machine's CPU, as many as share a batch evenly.

    Each then computes its images by itself, which is faster than all cores at the same image
    (``benchmarks/README.md``). It has to be called before anything else of JAX; a number of devices that is set
    already (``JAX_NUM_CPU_DEVICES``, ``XLA_FLAGS``) stays, and processes that joined others keep one each.

    Args:
      batch_size: images of a batch.
    """
    told = jax.config.jax_num_cpu_devices != -1 or "host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not told and not jax.distributed.is_initialized():
        jax.config.update("jax_num_cpu_devices", cores_that_share(batch_size))


def cores_that_share(batch_size: int) -> int:
    """The most cores of this machine that a batch can be cut for into equal parts."""
    return max(n for n in range(1, _cores() + 1) if batch_size % n == 0)


def device_is_core(mesh: Mesh) -> bool:
    """Whether there are at least as many devices on this machine's CPU as cores."""
    return mesh.local_mesh.size >= _cores() and mesh.devices.flat[0].platform == "cpu"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def check_batch_size(mesh: Mesh, batch_size: int, accumulate: int = 1) -> None:
    """Raises ConfigError unless every device gets equally many images, and can cut them into equal parts."""
    shares = mesh.devices.size * accumulate
    if batch_size % shares:
        lower, upper = batch_size // shares * shares, (batch_size // shares + 1) * shares
        parts = f", each in {accumulate} parts" if accumulate > 1 else ""
        raise ConfigError(
            f"config.data.batch_size of {batch_size} cannot be split evenly over {mesh.devices.size} devices{parts}: "
            f"take {f'{lower} or ' if lower else ''}{upper}"
        )


def put_batch(mesh: Mesh, share: np.ndarray) -> jax.Array:
    """The global batch from every process's share: [B / processes, …] -> [B, …], split over the devices."""
    return jax.make_array_from_process_local_data(split(mesh), share)
