"""Convolutions, matrix products and reductions."""

from __future__ import annotations

import numpy as np

from blindsr_jax.jaxpr_to_onnx.lowering import Equation, Value, Writer, lowers, shape_of
from blindsr_jax.jaxpr_to_onnx.values import Tensor

_REDUCTIONS = {"reduce_sum": "ReduceSum", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin"}


@lowers("conv_general_dilated")
def _convolution(writer: Writer, equation: Equation, x: Value, kernel: Value) -> Value:
    given = equation.params
    if given["batch_group_count"] != 1 or any(step != 1 for step in given["lhs_dilation"]):
        raise NotImplementedError("transposed and batch-grouped convolutions")
    of_x, of_kernel, of_result = given["dimension_numbers"]
    before, after = zip(*given["padding"])
    x = writer.tensor(writer.filled(x, of_x[1:]), tuple(of_x))
    name = writer.graph.add(
        "Conv",
        x.name,
        writer.tensor(writer.filled(kernel), tuple(of_kernel)).name,
        kernel_shape=[kernel.shape[axis] for axis in of_kernel[2:]],
        pads=[*before, *after],
        strides=list(given["window_strides"]),
        dilations=list(given["rhs_dilation"]),
        group=given["feature_group_count"],
    )
    stretched = frozenset({of_result[0]} if of_x[0] in x.stretched else ())
    return Tensor(name, shape_of(equation), tuple(of_result), stretched, x.dtype)


@lowers("dot_general")
def _product(writer: Writer, equation: Equation, left: Value, right: Value) -> Value:
    """A matrix from either side; the result has the free axes of the left, then those of the right."""
    (contract_left, contract_right), batch = equation.params["dimension_numbers"]
    if batch != ((), ()) or len(contract_left) != 1:
        raise NotImplementedError("a product over several axes, or of batches of matrices")
    (i,), (j,) = contract_left, contract_right
    if len(right.shape) == 2:
        return _times_matrix(writer, equation, left, i, right, j, matrix_first=False)
    if len(left.shape) == 2:
        return _times_matrix(writer, equation, right, j, left, i, matrix_first=True)
    raise NotImplementedError("a product of two arrays of more than two axes")


def _times_matrix(
    writer: Writer, equation: Equation, x: Value, axis: int, matrix: Value, matrix_axis: int, *, matrix_first: bool
) -> Value:
    """Sum over an axis of x and one of a matrix: x with that axis last, times the matrix."""
    x = writer.filled(x, (axis,))
    others = tuple(i for i in x.order if i != axis)
    x = writer.tensor(x, (*others, axis))
    factor = writer.tensor(writer.filled(matrix), (matrix_axis, 1 - matrix_axis))
    name = writer.graph.add("MatMul", x.name, factor.name)
    free = [i for i in range(len(x.shape)) if i != axis]  # in JAX's result, in this order
    at = {i: free.index(i) + matrix_first for i in free}
    order = (*(at[i] for i in others), 0 if matrix_first else len(free))
    stretched = frozenset(at[i] for i in x.stretched)
    return Tensor(name, shape_of(equation), order, stretched, x.dtype)


@lowers(*_REDUCTIONS)
def _reduction(writer: Writer, equation: Equation, x: Value) -> Value:
    kind, axes = _REDUCTIONS[equation.primitive.name], tuple(equation.params["axes"])
    x = writer.tensor(writer.filled(x, axes))
    places = sorted(x.place(axis) for axis in axes)
    if kind == "ReduceSum":
        name = writer.graph.add(kind, x.name, writer.graph.constant(places, np.int64), keepdims=0)
    else:
        name = writer.graph.add(kind, x.name, axes=places, keepdims=0)
    left = [i for i in range(len(x.shape)) if i not in axes]
    order = tuple(left.index(i) for i in x.order if i not in axes)
    stretched = frozenset(left.index(i) for i in x.stretched if i not in axes)
    return Tensor(name, shape_of(equation), order, stretched, x.dtype)
