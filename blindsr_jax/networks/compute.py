"""How a network computes: precision, what a gradient stores, and the form of its convolutions.

These choices are fields of the modules. They change neither the names nor the initial values of parameters.

Precision. Parameters, images, kernels and codes are float32 in any case, and so are the last convolutions before an
image, a kernel or a code. In bfloat16 all other convolutions take both operands in that type, and the features between
them follow: they are most of the memory and nearly all of the work. bfloat16 has the range of float32 and 8 significant
bits; no loss has to be scaled for it. Values that all pixels share (biases, gates, codes) are joined with the features
in float32 before the result is rounded. Their gradient is a sum over all pixels, which XLA adds up in the type of its
terms, and in bfloat16 256 + 1 is 256.
"""

from __future__ import annotations

import dataclasses
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.ops.convolution import CONVOLUTION, Padding, convolve

Precision = typing.Literal["float32", "bfloat16"]
Remat = typing.Literal["nothing", "activations", "blocks"]
Function = typing.Callable[..., typing.Any]
_GROUP = 4  # blocks; the memory of 40 blocks is least if it stores what is between groups of 3 to 5


@dataclasses.dataclass(frozen=True)
class Compute:
    """How a network computes.

    Attributes:
      precision: type of the convolutions between the first and the last: ``float32``, or ``bfloat16`` for accelerators.
      remat: what the backward pass computes again instead of storing it in the forward pass. ``nothing``;
        ``activations``: all but the results of convolutions, for next to no time; ``blocks``: all but the features
        between groups of four blocks of a ``Chain``, and between steps where several are supervised, for the time of
        another forward pass.
      winograd: whether 3×3 convolutions use ``ops.winograd`` where it is faster on one core of a CPU.
    """

    precision: Precision = "float32"
    remat: Remat = "nothing"
    winograd: bool = False

    @property
    def dtype(self) -> typing.Any | None:
        """The ``dtype`` of flax's layers; None keeps the type of the operands."""
        return jnp.bfloat16 if self.precision == "bfloat16" else None

    @property
    def blocks_per_group(self) -> int:
        """Number of blocks of a ``Chain`` between stored features."""
        return _GROUP if self.remat == "blocks" else 1

    def convolve(self, x: jax.Array, kernel: jax.Array, padding: Padding, stride: int = 1) -> jax.Array:
        """``ops.convolution.convolve`` in the chosen form."""
        return convolve(x, kernel, padding, stride, winograd=self.winograd)

    def checkpoint(self, function: Function, lift: Function = jax.checkpoint) -> Function:
        """A part of a network that stores for its gradient what ``remat`` leaves.

        Args:
          function: of arrays; with ``lift=nn.remat`` of a module and arrays.
          lift: ``jax.checkpoint`` or ``nn.remat``.
        """
        if self.remat == "nothing":
            return function
        convolutions = jax.checkpoint_policies.save_only_these_names(CONVOLUTION)
        return lift(function, policy=convolutions if self.remat == "activations" else None, prevent_cse=False)


def with_compute(module: nn.Module, **choices: typing.Any) -> nn.Module:
    """The same module, computing in another way.

    Args:
      module: an unbound module. Its fields that are ``Compute``, and those of modules in its fields, are replaced;
        modules without such a field stay as they are.
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
