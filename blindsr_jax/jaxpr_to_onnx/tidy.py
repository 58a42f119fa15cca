"""A pattern of operations for which ONNX has one: a convolution with its bias."""

from __future__ import annotations

import collections

import onnx

from blindsr_jax.jaxpr_to_onnx.graph import Graph


def join_biases(graph: Graph) -> None:
    """Turn sums of a convolution and a constant for each channel into the convolution with a bias."""
    made = {node.output[0]: node for node in graph.nodes}
    uses = collections.Counter(name for node in graph.nodes for name in node.input)
    for place, node in enumerate(graph.nodes):
        for result, other in (node.input, node.input[::-1]) if node.op_type == "Add" else ():
            if uses[result] == 1 and _takes_bias(made.get(result), other, graph):
                joined = onnx.NodeProto()
                joined.CopyFrom(made[result])
                joined.input.append(graph.constant(graph.constants[other].reshape(-1)))
                joined.output[0] = node.output[0]
                graph.nodes[place] = joined


def _takes_bias(node: onnx.NodeProto | None, other: str, graph: Graph) -> bool:
    """Whether a node is a convolution without bias, and a constant has one value for each of its channels."""
    if node is None or node.op_type != "Conv" or len(node.input) > 2 or node.input[1] not in graph.constants:
        return False
    channels = len(graph.constants[node.input[1]])
    return other in graph.constants and graph.constants[other].shape == (1, channels, 1, 1)
