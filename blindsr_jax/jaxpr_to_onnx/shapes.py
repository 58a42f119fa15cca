"""Operations that move, cut, join and repeat elements."""

from __future__ import annotations

import numpy as np
from onnx import helper

from blindsr_jax.jaxpr_to_onnx.lowering import Equation, Value, Writer, lowers, shape_of
from blindsr_jax.jaxpr_to_onnx.values import Known, Tensor


@lowers("broadcast_in_dim")
def _broadcast(writer: Writer, equation: Equation, x: Value, *sizes: Value) -> Value:
    """New axes, and axes of size 1 that grow, are stretched. New axes lie last in the file."""
    shape, to = shape_of(equation), equation.params["broadcast_dimensions"]
    if isinstance(x, Known):
        held = [1] * len(shape)
        for axis, place in enumerate(to):
            held[place] = x.array.shape[axis]
        return Known(x.array.reshape(held), shape)
    new = tuple(axis for axis in range(len(shape)) if axis not in to)
    order = (*(to[axis] for axis in x.order), *new)
    grown = {to[axis] for axis in range(len(x.shape)) if axis in x.stretched or x.shape[axis] != shape[to[axis]]}
    stretched = frozenset(grown | {axis for axis in new if shape[axis] != 1})
    return writer.reshaped(x, shape, order, stretched)


@lowers("transpose")
def _transpose(writer: Writer, equation: Equation, x: Value) -> Value:
    """The axes get other numbers; in the file, nothing moves."""
    permutation = tuple(equation.params["permutation"])
    if isinstance(x, Known):
        return Known(x.array.transpose(permutation), shape_of(equation))
    number = {axis: i for i, axis in enumerate(permutation)}
    order, stretched = tuple(number[axis] for axis in x.order), frozenset(number[axis] for axis in x.stretched)
    return Tensor(x.name, shape_of(equation), order, stretched, x.dtype)


@lowers("squeeze")
def _squeeze(writer: Writer, equation: Equation, x: Value) -> Value:
    x = writer.tensor(x)
    left = [axis for axis in range(len(x.shape)) if axis not in equation.params["dimensions"]]
    order = tuple(left.index(axis) for axis in x.order if axis in left)
    stretched = frozenset(left.index(axis) for axis in x.stretched)
    return writer.reshaped(x, shape_of(equation), order, stretched)


@lowers("slice")
def _slice(writer: Writer, equation: Equation, x: Value) -> Value:
    given, shape = equation.params, shape_of(equation)
    steps = given["strides"] or (1,) * len(shape)
    cut = [
        axis
        for axis in range(len(shape))
        if (given["start_indices"][axis], given["limit_indices"][axis], steps[axis]) != (0, x.shape[axis], 1)
    ]
    x = writer.tensor(writer.filled(x, cut))
    one = writer.sizes.one
    cuts = {a: (one(given["start_indices"][a]), one(given["limit_indices"][a]), steps[a]) for a in cut}
    return writer.sliced(x, shape, cuts)


@lowers("split")
def _split(writer: Writer, equation: Equation, x: Value) -> list[Value]:
    axis, start = equation.params["axis"], 0
    results: list[Value] = []
    x = writer.tensor(writer.filled(x, (axis,)))
    for i, size in enumerate(equation.params["sizes"]):
        cut = writer.sizes.one(start), writer.sizes.one(start + size), 1
        results.append(writer.sliced(x, shape_of(equation, i), {axis: cut}))
        start += size
    return results


@lowers("gather")
def _gather(writer: Writer, equation: Equation, x: Value, start: Value) -> Value:
    """Only as a slice whose start is computed, which is how JAX cuts arrays whose sizes are symbols."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    axes, collapsed = numbers.start_index_map, numbers.collapsed_slice_dims
    outcome = tuple(size for axis, size in enumerate(sizes) if axis not in collapsed)
    if start.shape != (len(axes),) or numbers.operand_batching_dims or outcome != shape_of(equation):
        raise NotImplementedError("gather of anything but one slice")
    x = writer.tensor(writer.filled(x, axes))
    first = writer.graph.add(
        "Cast", writer.tensor(writer.filled(start)).name, to=helper.np_dtype_to_tensor_dtype(np.dtype(np.int64))
    )
    cuts = {}
    for i, axis in enumerate(axes):
        one, two, place = (writer.graph.constant([n], np.int64) for n in (i, i + 1, 0))
        begin = writer.graph.add("Slice", first, one, two, place)
        cuts[axis] = begin, writer.graph.add("Add", begin, writer.sizes.one(sizes[axis])), 1
    cut = writer.sliced(x, tuple(sizes), cuts)
    left = [axis for axis in range(len(sizes)) if axis not in collapsed]
    order = tuple(left.index(axis) for axis in cut.order if axis in left)
    return writer.reshaped(cut, outcome, order, frozenset(left.index(axis) for axis in cut.stretched))


@lowers("concatenate")
def _concatenate(writer: Writer, equation: Equation, *parts: Value) -> Value:
    axis = equation.params["dimension"]
    shared = frozenset.intersection(*(part.stretched for part in parts)) - {axis}
    lead = max(parts, key=lambda part: (len(part.shape) - len(part.stretched), isinstance(part, Tensor)))
    placed = [writer.tensor(part, lead.order) for part in parts]  # moved while they are small, then filled
    whole = [writer.tensor(writer.filled(part, part.stretched - shared)) for part in placed]
    name = writer.graph.add("Concat", *(part.name for part in whole), axis=lead.order.index(axis))
    return Tensor(name, shape_of(equation), lead.order, shared, lead.dtype)


@lowers("pad")
def _pad(writer: Writer, equation: Equation, x: Value, value: Value) -> Value:
    config = equation.params["padding_config"]
    if any(inner or before < 0 or after < 0 for before, after, inner in config):
        raise NotImplementedError("padding between pixels, or of a negative width")
    grown = [axis for axis, (before, after, _) in enumerate(config) if not before == after == 0]
    x = writer.tensor(writer.filled(x, grown))
    pads = writer.graph.constant([config[axis][side] for side in (0, 1) for axis in x.order], np.int64)
    name = writer.graph.add("Pad", x.name, pads, writer.tensor(value).name, mode="constant")
    return Tensor(name, shape_of(equation), x.order, x.stretched, x.dtype)


@lowers("rev")
def _reverse(writer: Writer, equation: Equation, x: Value) -> Value:
    axes = equation.params["dimensions"]
    x, ends = writer.tensor(x), (writer.graph.constant([n], np.int64) for n in (-1, np.iinfo(np.int64).min))
    first, last = ends
    return writer.sliced(x, x.shape, {axis: (first, last, -1) for axis in axes if axis not in x.stretched})


@lowers("iota")
def _iota(writer: Writer, equation: Equation) -> Value:
    shape, axis = shape_of(equation), equation.params["dimension"]
    dtype = np.dtype(equation.params["dtype"])
    scalar = writer.graph.constant(0, np.int64)
    end = writer.graph.add("Squeeze", writer.sizes.one(shape[axis]), writer.graph.constant([0], np.int64))
    name = writer.graph.add("Range", scalar, end, writer.graph.constant(1, np.int64))
    name = writer.graph.add("Cast", name, to=helper.np_dtype_to_tensor_dtype(dtype))
    others = tuple(i for i in range(len(shape)) if i != axis)
    line = Tensor(name, (shape[axis],), (0,), frozenset(), dtype)
    return writer.reshaped(line, shape, (axis, *others), frozenset(i for i in others if shape[i] != 1))


@lowers("dim_as_value")
def _size(writer: Writer, equation: Equation) -> Value:
    aval = equation.outvars[0].aval
    name = writer.graph.add("Squeeze", writer.sizes.one(equation.params["dim"]), writer.graph.constant([0], np.int64))
    name = writer.graph.add("Cast", name, to=helper.np_dtype_to_tensor_dtype(np.dtype(aval.dtype)))
    return Tensor(name, (), (), frozenset(), np.dtype(aval.dtype))
