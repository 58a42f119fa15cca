"""Reshapes: axes that are split, joined, added and removed, where they lie in the file."""

from __future__ import annotations

import typing

from jax.errors import InconclusiveDimensionOperation

from blindsr_jax.jaxpr_to_onnx.lowering import Equation, Value, Writer, lowers, shape_of
from blindsr_jax.jaxpr_to_onnx.values import Dimension, Known, Shape, Tensor

_BLOCKS = (0, 5, 2, 4, 1, 3)  # [B, C, r, r, H, W], where JAX sees [B, H, r, W, r, C]
Group = tuple[list[int], list[int]]  # axes before, and the axes after that hold the same elements


@lowers("reshape")
def _reshape(writer: Writer, equation: Equation, x: Value, *sizes: Value) -> Value:
    """Reshape each group of axes on its own, where it lies."""
    shape = shape_of(equation)
    if isinstance(x, Known) and not x.stretched and all(isinstance(size, int) for size in shape):
        return Known(x.array.reshape(shape), shape)
    shuffled = _pixel_shuffle(writer, x, shape)
    if shuffled is not None:
        return shuffled
    groups = _groups(x.shape, shape)
    filled = [axis for before, after in groups for axis in before if not _alone(x, before, after, shape)]
    tensor = writer.tensor(writer.filled(x, filled))
    stretched = frozenset(
        next(b for b in after if shape[b] != 1) for before, after in groups for a in before if a in tensor.stretched
    )
    real = [[axis for axis in before if tensor.shape[axis] != 1] for before, _ in groups]
    turn = sorted(range(len(groups)), key=lambda i: tensor.place(real[i][0]) if real[i] else len(tensor.order))
    units = [axis for axis in tensor.order if tensor.shape[axis] == 1]
    joined = [axis for i in turn for axis in real[i]]
    if joined != [axis for axis in tensor.order if tensor.shape[axis] != 1]:
        tensor = writer.tensor(tensor, (*joined, *units))
    after = [axis for i in turn for axis in groups[i][1]]
    order = (*(axis for axis in after if shape[axis] != 1), *(axis for axis in after if shape[axis] == 1))
    return writer.reshaped(tensor, shape, order, stretched)


def _pixel_shuffle(writer: Writer, x: Value, shape: Shape) -> Value | None:
    """Write the last of pixel shuffle's three operations: ONNX has one for all of them."""
    if not isinstance(x, Tensor) or x.order != _BLOCKS or x.stretched:
        return None
    batch, height, r, width, beside, channels = x.shape
    split = writer.graph.maker(x.name)
    if split is None or split.op_type != "Reshape" or r != beside or shape != (batch, height * r, width * r, channels):
        return None
    name = writer.graph.add("DepthToSpace", split.input[0], blocksize=r, mode="CRD")
    return Tensor(name, shape, (0, 3, 1, 2), frozenset(), x.dtype)


def _alone(x: Value, before: list[int], after: list[int], shape: Shape) -> bool:
    """Whether a group has one axis that is not of size 1, on both sides: then it may stay stretched."""
    return sum(x.shape[axis] != 1 for axis in before) == sum(shape[axis] != 1 for axis in after) == 1


def _groups(before: Shape, after: Shape) -> list[Group]:
    """Divide the axes into the smallest groups that hold the same elements before and after."""
    groups: list[Group] = []
    i = j = 0
    while i < len(before) and j < len(after):
        left, right, here, there = [i], [j], before[i], after[j]
        while here != there:
            if not _smaller(here, there) and j + 1 < len(after):
                j += 1
                right.append(j)
                there = there * after[j]
            elif i + 1 < len(before):
                i += 1
                left.append(i)
                here = here * before[i]
            else:
                return [(list(range(len(before))), list(range(len(after))))]
        groups.append((left, right))
        i, j = i + 1, j + 1
    if not groups:  # a scalar on one side
        return [(list(range(len(before))), list(range(len(after))))]
    groups[-1][0].extend(range(i, len(before)))
    groups[-1][1].extend(range(j, len(after)))
    return groups


def _smaller(here: Dimension, there: Dimension) -> typing.Any:
    try:
        return here < there
    except InconclusiveDimensionOperation:
        return True
