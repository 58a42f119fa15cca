"""``convert``: trace a function with symbols for sizes and write it as an ONNX model."""

from __future__ import annotations

import typing

import jax
import numpy as np
import onnx
from onnx import helper

from blindsr_jax.jaxpr_to_onnx.graph import Graph
from blindsr_jax.jaxpr_to_onnx.interpreter import interpret
from blindsr_jax.jaxpr_to_onnx.sizes import Sizes
from blindsr_jax.jaxpr_to_onnx.tidy import join_biases
from blindsr_jax.jaxpr_to_onnx.values import Tensor, known
from blindsr_jax.jaxpr_to_onnx.writer import Writer


class Port(typing.NamedTuple):
    """An input or output of the model.

    Attributes:
      name: in the file.
      order: the axis of the function's array that lies at each place: (0, 3, 1, 2) for NHWC images in NCHW.
    """

    name: str
    order: tuple[int, ...]


def convert(
    function: typing.Callable[[jax.Array], typing.Sequence[jax.Array]],
    argument: jax.ShapeDtypeStruct,
    input_port: Port,
    output_ports: typing.Sequence[Port],
    metadata: typing.Mapping[str, str],
) -> onnx.ModelProto:
    """Write a function of one array as an ONNX model.

    Args:
      function: returns as many arrays as there are output ports.
      argument: shape and type of its argument; sizes may be symbols of ``jax.export.symbolic_shape``.
      input_port, output_ports: names and layouts in the file.
      metadata: texts that the file holds.

    Returns:
      The model, checked.

    Raises:
      NotImplementedError: an operation of the function has no form in ONNX here; the message names it.
    """
    graph, given = (
        Graph(),
        Tensor(input_port.name, tuple(argument.shape), input_port.order, frozenset(), argument.dtype),
    )
    symbols = {
        str(size): (given.name, given.place(axis)) for axis, size in enumerate(given.shape) if not isinstance(size, int)
    }
    writer = Writer(graph, Sizes(graph, symbols))
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        traced = jax.make_jaxpr(lambda x: tuple(function(x)))(argument)
        constants = [known(np.asarray(x)) for x in traced.consts]
        results = interpret(writer, traced.jaxpr, constants, given)
    outputs = []
    for port, result in zip(output_ports, results):
        result = writer.tensor(writer.filled(writer.tensor(result)), port.order)
        outputs.append((graph.output(result.name, port.name), result))
    join_biases(graph)
    ports = [(given.name, given), *outputs]
    infos = [helper.make_tensor_value_info(name, _kind(x.dtype), list(map(_label, x.held))) for name, x in ports]
    return graph.model(infos[:1], infos[1:], metadata)


def _kind(dtype: np.dtype) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def _label(size: typing.Any) -> int | str:
    """A size in the description of an input or output: a number or a text."""
    return size if isinstance(size, int) else str(size)
