"""Restoring with a device for each CPU core: the cores share the rows of an image, or take a tile each.

Of a shared image, the cores exchange the few rows that a convolution reads (``ops.row_shards``). The result equals that
of one device within the rounding of float32.
"""

from __future__ import annotations

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from blindsr_jax.cores import cores
from blindsr_jax.inference.padded_shapes import Size
from blindsr_jax.inference.programs import TILES, Variables
from blindsr_jax.networks.compute import with_compute
from blindsr_jax.networks.network import Network
from blindsr_jax.ops.row_shards import ROWS

_LEAST = 16  # rows for each core, fewer than which are not worth the exchange


def share(module: Network, size: Size) -> bool:
    """Whether the cores share images of a size.

    They do if the process has a CPU device for each core, see ``cores.use_cores``, and the network restores images
    without an FFT of the whole image. Images whose rows cannot be shared evenly must be padded.
    """
    if not module.restores or module.through_fft or module.compute.rows is not None or size[0] < _LEAST * cores():
        return False
    return cores_are_devices() and (module.takes_padding or even_shape(size) == size)


def cores_are_devices() -> bool:
    """Whether this process has a CPU device for each of several cores."""
    return 1 < cores() <= len(jax.local_devices()) and jax.default_backend() == "cpu"


def tiles_side_by_side(module: Network, count: int) -> bool:
    """Whether each core restores as many of ``count`` tiles, alone."""
    return cores_are_devices() and count % cores() == 0 and module.compute.rows is None


def even_shape(size: Size) -> Size:
    """The smallest shape that holds an image and whose rows the cores can share evenly."""
    height, width = size
    return -(-height // cores()) * cores(), width


def on_all_cores(module: Network, variables: Variables) -> tuple[Network, Variables]:
    """Return a copy of a network whose maps' rows the cores share, and its variables on all of them."""
    on_all = everywhere()
    return with_compute(module, rows=on_all.mesh, winograd=True), jax.device_put(variables, on_all)


def each_core() -> Mesh:
    """Return the mesh of the axis ``TILES``, on which each core has tiles of its own."""
    return _mesh(TILES)


def everywhere() -> NamedSharding:
    """The sharding of arrays that every core has whole."""
    return NamedSharding(_mesh(ROWS), PartitionSpec())


def _mesh(axis: str) -> Mesh:
    return Mesh(np.array(jax.local_devices()[: cores()]), (axis,))
