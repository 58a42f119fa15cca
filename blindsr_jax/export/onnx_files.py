"""ONNX files: for onnxruntime and other tools, images in NCHW."""

from __future__ import annotations

import pathlib
import typing

import numpy as np

from blindsr_jax.errors import DataError, WeightsError
from blindsr_jax.export.program import UNTRACEABLE, Program, refused
from blindsr_jax.lazy import how_to_install

_NCHW = (0, 3, 1, 2)


def serialized(program: Program, metadata: typing.Mapping[str, str]) -> bytes:
    """Return the contents of an ONNX file with input ``lr`` and the program's outputs.

    Args:
      program: the program.
      metadata: texts that the file holds.

    Raises:
      DataError: an operation of the network has no form in ONNX, or onnx is not installed.
    """
    try:
        from blindsr_jax.jaxpr_to_onnx.convert import Port, convert
    except ModuleNotFoundError as missing:
        raise DataError(f"an ONNX file is written with {missing.name}: {how_to_install('onnx')}") from None
    orders = {"image": _NCHW, "kernel": (0, 1, 2)}
    ports = [Port(output, orders[output]) for output in program.outputs]
    try:
        model = convert(program.function, program.argument, Port("lr", _NCHW), ports, metadata)
    except UNTRACEABLE as error:
        raise refused(program, error) from error
    return model.SerializeToString()


def opened(path: pathlib.Path) -> typing.Callable[[typing.Any], tuple[typing.Any, ...]]:
    """Open such a file as a function from images [B, 3, H, W] to its outputs, run by onnxruntime on the CPU.

    Raises:
      WeightsError: the file is none.
      DataError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise DataError(f"an ONNX file is opened with onnxruntime: {how_to_install('onnx')}") from None
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}") from None
    except Exception as error:  # onnxruntime has an exception of its own for each kind of damage
        raise WeightsError(f"{path}: not an ONNX file that onnxruntime opens: {type(error).__name__}") from None
    return lambda lr: tuple(session.run(None, {"lr": np.asarray(lr, np.float32)}))
