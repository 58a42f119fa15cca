"""Symbolic sizes as tensors: the arithmetic of ``4*h - 4`` on the shape of an input."""

from __future__ import annotations

import ast

import numpy as np

from blindsr_jax.jaxpr_to_onnx.graph import Graph
from blindsr_jax.jaxpr_to_onnx.values import Dimension, Shape

_OPERATIONS = {ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul"}
_FUNCTIONS = {"floordiv": "Div", "mod": "Mod", "max": "Max", "min": "Min"}  # of sizes, which are not negative


class Sizes:
    """Computes symbolic sizes in a graph.

    Args:
      graph: the graph.
      symbols: for each symbol, the tensor and the axis whose size it is.
    """

    def __init__(self, graph: Graph, symbols: dict[str, tuple[str, int]]):
        self._graph, self._symbols = graph, symbols

    def one(self, size: Dimension) -> str:
        """Return a size as a tensor int64 [1]."""
        if isinstance(size, int | np.integer):
            return self._graph.constant([size], np.int64)
        return self._computed(ast.parse(str(size).replace("^", "**"), mode="eval").body)

    def many(self, sizes: Shape) -> str:
        """Return sizes as a tensor int64 [n]."""
        if all(isinstance(size, int | np.integer) for size in sizes):
            return self._graph.constant(sizes, np.int64)
        parts = [self.one(size) for size in sizes]
        return parts[0] if len(parts) == 1 else self._graph.add("Concat", *parts, axis=0)

    def _computed(self, tree: ast.AST) -> str:
        add = self._graph.add
        match tree:
            case ast.Constant(value=int(value)):
                return self.one(value)
            case ast.Name(id=name):
                tensor, axis = self._symbols[name]
                return add("Shape", tensor, start=axis, end=axis + 1)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return add("Neg", self._computed(operand))
            case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int(times))):
                return self._computed(ast.parse("*".join([f"({ast.unparse(left)})"] * times), mode="eval").body)
            case ast.BinOp(left=left, op=operation, right=right):
                return add(_OPERATIONS[type(operation)], self._computed(left), self._computed(right))
            case ast.Call(func=ast.Name(id=name), args=[left, right]):
                return add(_FUNCTIONS[name], self._computed(left), self._computed(right))
        raise NotImplementedError(f"the size {ast.unparse(tree)}")
