"""StableHLO files: a compiled form that JAX runs on CPUs, GPUs and TPUs for images of every size."""

from __future__ import annotations

import pathlib
import typing

import jax
import jax.export  # not loaded by jax itself

from blindsr_jax.errors import WeightsError
from blindsr_jax.export.program import UNTRACEABLE, Program, refused

PLATFORMS = ("cpu", "cuda", "tpu")


def serialized(program: Program) -> bytes:
    """Return the contents of a file that ``jax.export.deserialize`` reads; layout NHWC.

    Raises:
      DataError: the network cannot be traced with symbols for sizes.
    """
    try:
        exported = jax.export.export(jax.jit(program.function), platforms=PLATFORMS)(program.argument)
    except UNTRACEABLE as error:
        raise refused(program, error) from error
    return bytes(exported.serialize())


def opened(path: pathlib.Path) -> typing.Callable[[typing.Any], tuple[typing.Any, ...]]:
    """Open such a file as a function from images [B, H, W, 3] to its outputs.

    Raises:
      WeightsError: the file is none.
    """
    try:
        exported = jax.export.deserialize(bytearray(path.read_bytes()))
        exported.mlir_module()  # reads the program too, which is otherwise done at the first call
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}") from None
    except Exception as error:  # flatbuffers and MLIR raise many kinds for a damaged file
        raise WeightsError(f"{path}: not a StableHLO file of jax.export: {type(error).__name__}") from None
    return jax.jit(exported.call)
