"""``Writer``: the graph, its sizes, and how a value is brought into the form that an operation wants."""

from __future__ import annotations

import typing

import numpy as np

from blindsr_jax.jaxpr_to_onnx.graph import Graph
from blindsr_jax.jaxpr_to_onnx.sizes import Sizes
from blindsr_jax.jaxpr_to_onnx.values import Known, Shape, Tensor, Value


class Writer:
    """Writes operations on values.

    Attributes:
      graph: the graph under construction.
      sizes: computes symbolic sizes in it.
    """

    def __init__(self, graph: Graph, sizes: Sizes):
        self.graph, self.sizes = graph, sizes

    def tensor(self, value: Value, order: tuple[int, ...] | None = None) -> Tensor:
        """Return a value as a tensor whose axes lie in this order, by default as they do."""
        order = value.order if order is None else order
        if isinstance(value, Known):
            name = self.graph.constant(value.array.transpose(order))
            return Tensor(name, value.shape, order, value.stretched, value.dtype)
        if order == value.order:
            return value
        name = self.graph.add("Transpose", value.name, perm=[value.place(axis) for axis in order])
        return Tensor(name, value.shape, order, value.stretched, value.dtype)

    def filled(self, value: Value, axes: typing.Iterable[int] | None = None) -> Value:
        """Return a value in which these axes are not stretched; by default none is."""
        axes = value.stretched if axes is None else value.stretched.intersection(axes)
        if not axes:
            return value
        if isinstance(value, Known) and all(isinstance(value.shape[axis], int) for axis in axes):
            shape = [value.shape[i] if i in axes else n for i, n in enumerate(value.array.shape)]
            return Known(np.broadcast_to(value.array, shape), value.shape)
        tensor = self.tensor(value)
        wanted = tuple(tensor.shape[axis] if axis in axes else 1 for axis in tensor.order)
        name = self.graph.add("Expand", tensor.name, self.sizes.many(wanted))
        return Tensor(name, tensor.shape, tensor.order, tensor.stretched - axes, tensor.dtype)

    def elementwise(self, kind: str, *values: Value, dtype: typing.Any = None, **attributes: typing.Any) -> Tensor:
        """Apply an operation to corresponding elements of values of one shape, or of none."""
        rank = max(len(value.shape) for value in values)
        whole = [value for value in values if len(value.shape) == rank]
        lead = max(whole, key=lambda value: (rank - len(value.stretched), isinstance(value, Tensor)))
        parts = [self.tensor(value, lead.order if len(value.shape) == rank else None) for value in values]
        name = self.graph.add(kind, *(part.name for part in parts), **attributes)
        stretched = frozenset.intersection(*(value.stretched for value in whole))
        return Tensor(name, lead.shape, lead.order, stretched, np.dtype(dtype or parts[-1].dtype))

    def reshaped(self, tensor: Tensor, shape: Shape, order: tuple[int, ...], stretched: frozenset[int]) -> Tensor:
        """Write a tensor with other axes; its elements stay in their places in the file."""
        result = Tensor(tensor.name, shape, order, stretched, tensor.dtype)
        if result.held == tensor.held:
            return result
        open_sizes = [size for size in result.held if not isinstance(size, int)]
        if len(open_sizes) == 1:  # the one size that is not known follows from the others
            sizes = self.graph.constant([n if isinstance(n, int) else -1 for n in result.held], np.int64)
        else:
            sizes = self.sizes.many(result.held)
        name = self.graph.add("Reshape", tensor.name, sizes)
        return Tensor(name, shape, order, stretched, tensor.dtype)

    def sliced(self, tensor: Tensor, shape: Shape, cuts: typing.Mapping[int, tuple[str, str, int]]) -> Tensor:
        """Take a part of a tensor.

        Args:
          tensor: the tensor; the axes of the cuts are not stretched.
          shape: that of the result.
          cuts: for each axis that is cut, the start and the end as tensors int64 [1], and the step.
        """
        if not cuts:
            return Tensor(tensor.name, shape, tensor.order, tensor.stretched, tensor.dtype)
        starts, ends = [cut[0] for cut in cuts.values()], [cut[1] for cut in cuts.values()]
        joined = [x[0] if len(x) == 1 else self.graph.add("Concat", *x, axis=0) for x in (starts, ends)]
        axes = self.graph.constant([tensor.place(axis) for axis in cuts], np.int64)
        steps = self.graph.constant([cut[2] for cut in cuts.values()], np.int64)
        name = self.graph.add("Slice", tensor.name, *joined, axes, steps)
        return Tensor(name, shape, tensor.order, tensor.stretched, tensor.dtype)
