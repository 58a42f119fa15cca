"""Computation options of a network: precision, rematerialisation, and the algorithm of its convolutions.

These options are fields of the modules. They change neither the names nor the initial values of parameters.

Precision. Parameters, images, kernels and codes are always float32. So are the last convolutions before an image, a
kernel or a code. With bfloat16, all other convolutions take both operands in that type, and so are the features between
them. These take most of the memory and nearly all of the work. bfloat16 has the range of float32 and 8 significant
bits, so the loss needs no scaling. Values shared by all pixels (biases, gates, codes) are combined with the features in
float32 before the result is rounded. Their gradient is a sum over all pixels. XLA accumulates it in the type of its
terms, and in bfloat16 256 + 1 is 256.
"""

from __future__ import annotations

import dataclasses
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from blindsr_jax.ops.convolution import CONVOLUTION, Padding, convolve

Precision = typing.Literal["float32", "bfloat16"]
Remat = typing.Literal["nothing", "activations", "blocks"]
Function = typing.Callable[..., typing.Any]
_GROUP = 4  # blocks per group; for 40 blocks, groups of 3 to 5 need the least memory


@dataclasses.dataclass(frozen=True)
class Compute:
    """Computation options of a network.

    Attributes:
      precision: type of all but the last convolutions: ``float32``, or ``bfloat16`` for accelerators.
      remat: values that the backward pass recomputes instead of storing them. ``nothing``. ``activations``: everything
        but the results of convolutions, at almost no extra time. ``blocks``: everything but the features between groups
        of four blocks of a ``Chain``, and between steps if several are supervised, at the time of another forward pass.
      winograd: whether 3×3 convolutions in float32 are computed by ``ops.winograd`` on a CPU.
      unroll: number of blocks of a ``Chain`` that one turn of its loop computes. GPUs start fewer kernels with 4.
      bands: number of bands of rows that a ``Chain`` makes a batch of if the batch is one image; see
        ``networks.bands``. It takes effect in blocks that say so (``in_bands``). TPUs are faster with 8.
      rows: the devices among which the rows of all maps are split, see ``ops.row_shards``; None for one device.
    """

    precision: Precision = "float32"
    remat: Remat = "nothing"
    winograd: bool = False
    unroll: int = 1
    bands: int = 1
    rows: Mesh | None = None

    @property
    def dtype(self) -> typing.Any | None:
        """The ``dtype`` for flax layers; None keeps the type of the operands."""
        return jnp.bfloat16 if self.precision == "bfloat16" else None

    @property
    def blocks_per_group(self) -> int:
        """Number of ``Chain`` blocks between stored features."""
        return _GROUP if self.remat == "blocks" else 1

    def convolve(self, x: jax.Array, kernel: jax.Array, padding: Padding, stride: int = 1) -> jax.Array:
        """Call ``ops.convolution.convolve`` with the chosen algorithm."""
        return convolve(x, kernel, padding, stride, filtered=self.winograd, rows=self.rows)

    def checkpoint(self, function: Function, lift: Function = jax.checkpoint) -> Function:
        """Wrap a part of a network so that its gradient recomputes values as ``remat`` says.

        Args:
          function: takes arrays; with ``lift=nn.remat``, a module and arrays.
          lift: ``jax.checkpoint`` or ``nn.remat``.
        """
        if self.remat == "nothing":
            return function
        convolutions = jax.checkpoint_policies.save_only_these_names(CONVOLUTION)
        return lift(function, policy=convolutions if self.remat == "activations" else None, prevent_cse=False)


def with_compute(module: nn.Module, **choices: typing.Any) -> nn.Module:
    """Return a copy of a module with other computation options.

    Args:
      module: an unbound module. The options change in its ``Compute`` fields and in those of its submodules. Modules
        without such a field are unchanged.
      **choices: fields of ``Compute``.
    """
    changes = {}
    for field in dataclasses.fields(module):
        value = getattr(module, field.name)
        if isinstance(value, Compute):
            changes[field.name] = dataclasses.replace(value, **choices)
        elif isinstance(value, nn.Module) and field.name != "parent":
            changes[field.name] = with_compute(value, **choices)
    return module.clone(**changes)
