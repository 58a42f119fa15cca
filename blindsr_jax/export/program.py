"""The exported program of a network: a function of images of every size, and its limits."""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp

from blindsr_jax.errors import DataError
from blindsr_jax.networks.network import Network

Layout = typing.Literal["NHWC", "NCHW"]
# What a network raises that cannot be traced with symbols for sizes, or whose operations have no form in a file.
UNTRACEABLE = (
    *(TypeError, ValueError, IndexError, NotImplementedError),
    jax.errors.InconclusiveDimensionOperation,
)
_SHAPE = "batch, height, width, 3"


class Program(typing.NamedTuple):
    """A function of LR images that is written to a file.

    Attributes:
      function: [B, H, W, 3] to the outputs.
      argument: shape and type of the images, with symbols for batch, height and width.
      outputs: their names: ``image`` [B, s·H, s·W, 3] and ``kernel`` [B, K, K].
      network: name for messages.
      least_side: H and W are at least this.
    """

    function: typing.Callable[[jax.Array], tuple[jax.Array, ...]]
    argument: jax.ShapeDtypeStruct
    outputs: tuple[str, ...]
    network: str
    least_side: int


def program_of(
    module: Network, variables: dict[str, typing.Any], *, kernel: bool = False, iterations: int | None = None
) -> Program:
    """Choose what is exported of a blind network.

    Args:
      module, variables: the network.
      kernel: also return the estimated kernel. A network that restores no image always does.
      iterations: unfolded steps; by default as many as in training.

    Raises:
      DataError: the network wants more than LR images, or does not have what is asked for.
    """
    name = type(module).__name__
    if not module.blind:
        raise DataError(f"{name} needs the blur of each image: only networks that take images alone are exported")
    if module.learns:
        raise DataError(f"{name} learns from each image in a loop: it is no program that could be exported")
    if kernel and not module.estimates_kernel:
        raise DataError(f"{name} estimates no kernel: leave it out")
    if iterations is not None and not module.unfolds:
        raise DataError(f"{name} works in one pass: leave the number of iterations out")
    outputs = ("image",) * module.restores + ("kernel",) * (kernel or not module.restores)
    options: dict[str, typing.Any] = {} if iterations is None else {"iterations": iterations}
    if module.unfolds and module.estimates_kernel and not kernel:
        options["image_only"] = True

    def function(lr: jax.Array) -> tuple[jax.Array, ...]:
        result: typing.Any = module.apply(variables, lr, **options)
        found = {"image": result.sr, "kernel": result.kernel}
        return tuple(found[output] for output in outputs)

    least = module.least_side
    shape = jax.export.symbolic_shape(_SHAPE, constraints=[f"height >= {least}", f"width >= {least}"])
    return Program(function, jax.ShapeDtypeStruct(shape, jnp.float32), outputs, name, least)


def refused(program: Program, reason: object) -> DataError:
    """Return the error for a network that cannot be exported."""
    first = str(reason).strip().splitlines()
    return DataError(f"{program.network} cannot be exported for images of every size: {first[0] if first else reason}")
