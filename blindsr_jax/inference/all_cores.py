"""Restoring with a device for each CPU core: the cores share the rows of an image.

On its own rows a core convolves by ``ops.winograd``, which several cores sharing one convolution could not. The cores
exchange the few rows that a convolution reads (``ops.row_shards``), so the result equals that of one device within the
rounding of float32.
"""

from __future__ import annotations

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from blindsr_jax.cores import cores
from blindsr_jax.inference.padded_shapes import Size
from blindsr_jax.inference.programs import Variables
from blindsr_jax.networks.compute import with_compute
from blindsr_jax.networks.network import Network
from blindsr_jax.ops.row_shards import ROWS

_LEAST = 16  # rows for each core, fewer than which are not worth the exchange
_EVEN = 2  # sides of the tiles of Winograd's filtering


def share(module: Network, size: Size) -> bool:
    """Whether the cores share images of a size.

    They do if the process has a CPU device for each core, see ``cores.use_cores``, and the network restores images
    without an FFT of the whole image. Images whose rows cannot be shared evenly must be padded.
    """
    if not module.restores or module.through_fft or module.compute.rows is not None:
        return False
    if jax.default_backend() != "cpu" or len(jax.local_devices()) < cores() or size[0] < _LEAST * cores():
        return False
    return module.takes_padding or even_shape(size) == size


def even_shape(size: Size) -> Size:
    """The smallest shape that holds an image and whose rows the cores can share evenly."""
    height, width = size
    rows, columns = _EVEN * cores(), _EVEN
    return -(-height // rows) * rows, -(-width // columns) * columns


def on_all_cores(module: Network, variables: Variables) -> tuple[Network, Variables]:
    """Return a copy of a network whose maps' rows the cores share, and its variables on all of them."""
    on_all = everywhere()
    return with_compute(module, rows=on_all.mesh, winograd=True), jax.device_put(variables, on_all)


def everywhere() -> NamedSharding:
    """The sharding of arrays that every core has whole."""
    return NamedSharding(Mesh(np.array(jax.local_devices()[: cores()]), (ROWS,)), PartitionSpec())
