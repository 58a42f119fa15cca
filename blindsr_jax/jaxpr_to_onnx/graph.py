"""An ONNX graph under construction. Equal constants and equal operations are written once."""

from __future__ import annotations

import hashlib
import typing

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 17
_IR_VERSION = 8  # that of the first runtimes with this opset


class Graph:
    """The nodes and constants of a graph, in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self._by_content: dict[typing.Any, str] = {}
        self._makers: dict[str, onnx.NodeProto] = {}

    def constant(self, array: typing.Any, dtype: typing.Any = None) -> str:
        """Return the name of a constant tensor."""
        array = np.array(array, dtype, order="C")  # order="C" keeps scalars as they are
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._by_content:
            self._by_content[key] = f"constant_{len(self.constants)}"
            self.constants[self._by_content[key]] = array
        return self._by_content[key]

    def add(self, kind: str, *inputs: str, **attributes: typing.Any) -> str:
        """Add an operation with one result and return the name of the result."""
        key = (kind, inputs, tuple(sorted((name, str(value)) for name, value in attributes.items())))
        if key not in self._by_content:
            name = f"{kind.lower()}_{len(self.nodes)}"
            self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
            self._by_content[key] = name
            self._makers[name] = self.nodes[-1]
        return self._by_content[key]

    def maker(self, name: str) -> onnx.NodeProto | None:
        """Return the operation whose result has this name, if there is one."""
        return self._makers.get(name)

    def output(self, name: str, port: str) -> str:
        """Give a tensor the name of an output."""
        self.nodes.append(helper.make_node("Identity", [name], [port], name=port))
        return port

    def model(
        self,
        inputs: list[onnx.ValueInfoProto],
        outputs: list[onnx.ValueInfoProto],
        metadata: typing.Mapping[str, str],
    ) -> onnx.ModelProto:
        """Return the model, without what no output needs.

        Raises:
          onnx.checker.ValidationError: the graph is not valid ONNX.
        """
        nodes, wanted = [], {output.name for output in outputs}
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                nodes.append(node)
                wanted.update(node.input)
        constants = [numpy_helper.from_array(array, name) for name, array in self.constants.items() if name in wanted]
        graph = helper.make_graph(nodes[::-1], "blindsr_jax", inputs, outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
        model.producer_name = "blindsr_jax"
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model
