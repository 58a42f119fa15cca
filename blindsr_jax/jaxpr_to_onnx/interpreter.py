"""Walks through a traced function: calls are entered, loops unrolled, operations of known arrays computed."""

from __future__ import annotations

import typing

import numpy as np
from jax.extend.core import Literal

from blindsr_jax.jaxpr_to_onnx import elementwise, products, reshape, shapes
from blindsr_jax.jaxpr_to_onnx.lowering import LOWERINGS, Equation, Value, Writer
from blindsr_jax.jaxpr_to_onnx.values import Known, Tensor, known

_TABLES = (elementwise, products, reshape, shapes)  # each registers its operations when it is imported
_BODIES = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # names of the parameter that holds what a call computes
_CALLS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "checkpoint", "remat2")


def interpret(writer: Writer, jaxpr: typing.Any, constants: typing.Sequence[Value], *inputs: Value) -> list[Value]:
    """Write a jaxpr.

    Args:
      writer: the writer.
      jaxpr: ``jax.extend.core.Jaxpr``.
      constants, inputs: values of its constants and arguments.

    Returns:
      Its results.

    Raises:
      NotImplementedError: an operation has no form here; the message names it.
    """
    values: dict[typing.Any, Value] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *inputs]))

    def read(variable: typing.Any) -> Value:
        if isinstance(variable, Literal):
            return known(np.asarray(variable.val, typing.cast(typing.Any, variable.aval).dtype))
        return values[variable]

    for equation in jaxpr.eqns:
        results = _apply(writer, equation, [read(variable) for variable in equation.invars])
        values.update(zip(equation.outvars, results))
    return [read(variable) for variable in jaxpr.outvars]


def _apply(writer: Writer, equation: Equation, values: list[Value]) -> list[Value]:
    name = equation.primitive.name
    if name in _STRUCTURES:
        return _STRUCTURES[name](writer, equation, *values)
    computed = _computed(equation, values)
    if computed is not None:
        return computed
    if name not in LOWERINGS:
        raise NotImplementedError(f"the operation {name}")
    result = LOWERINGS[name](writer, equation, *values)
    return result if isinstance(result, list) else [result]


def _computed(equation: Equation, values: list[Value]) -> list[Value] | None:
    """Compute an operation of known arrays whose sizes are numbers; None if it is another one."""
    arrays = [value.whole() if isinstance(value, Known) else None for value in values]
    fixed = all(isinstance(size, int) for variable in equation.outvars for size in variable.aval.shape)
    if not fixed or any(array is None for array in arrays) or equation.primitive.name == "dim_as_value":
        return None
    results = equation.primitive.bind(*arrays, **equation.params)
    return [known(x) for x in (results if equation.primitive.multiple_results else [results])]


def _body(equation: Equation) -> tuple[typing.Any, list[Value]]:
    """The jaxpr that a call computes, and its constants."""
    body = next(equation.params[name] for name in _BODIES if name in equation.params)
    return (body.jaxpr, [known(x) for x in body.consts]) if hasattr(body, "consts") else (body, [])


def _call(writer: Writer, equation: Equation, *values: Value) -> list[Value]:
    slope = _slope(equation, values) if equation.params.get("name") == "leaky_relu" else None
    if slope is not None:
        return [writer.elementwise("LeakyRelu", values[0], alpha=slope)]  # one operation, not three
    return interpret(writer, *_body(equation), *values)


def _slope(equation: Equation, values: tuple[Value, ...]) -> float | None:
    """The slope of JAX's leaky ReLU: its second argument, or, in older versions, a constant in its body."""
    body, _ = _body(equation)
    inside = [
        x.val for step in body.eqns if step.primitive.name == "mul" for x in step.invars if isinstance(x, Literal)
    ]
    given = [value.array for value in values[1:] if isinstance(value, Known)]
    found = [*inside, *given]
    return float(found[0]) if len(found) == 1 and np.ndim(found[0]) == 0 else None


def _scan(writer: Writer, equation: Equation, *values: Value) -> list[Value]:
    """Unroll a loop. Its arguments are constants, the state, and arrays with a row for each step."""
    given, (body, body_constants) = equation.params, _body(equation)
    rows_of = [outer.aval.ndim > inner.aval.ndim for outer, inner in zip(equation.invars, body.invars)]
    kept = [outer.aval.ndim > inner.aval.ndim for outer, inner in zip(equation.outvars, body.outvars)]
    carried = len(values) - sum(rows_of)
    fixed = carried - (len(kept) - sum(kept))
    state, columns = list(values[fixed:carried]), [column for column in values[carried:] if isinstance(column, Known)]
    if len(columns) < len(values) - carried:
        raise NotImplementedError("a loop over an array that is not known")
    order = range(given["length"])
    rows: list[list[Value]] = []
    for i in reversed(order) if given["reverse"] else order:
        now = [Known(column.array[min(i, len(column.array) - 1)], column.shape[1:]) for column in columns]
        results = interpret(writer, body, body_constants, *values[:fixed], *state, *now)
        state, rows = results[: carried - fixed], [*rows, results[carried - fixed :]]
    return [*state, *(_stacked(writer, row) for row in zip(*(rows[::-1] if given["reverse"] else rows)))]


def _stacked(writer: Writer, row: tuple[Value, ...]) -> Value:
    """Join what each step of a loop returns along a new first axis."""
    order = (0, *(axis + 1 for axis in row[0].order))
    parts = [writer.tensor(writer.filled(writer.tensor(part, row[0].order))) for part in row]
    shape = (1, *row[0].shape)
    names = [writer.reshaped(part, shape, order, frozenset()).name for part in parts]
    joined = writer.graph.add("Concat", *names, axis=0)
    return Tensor(joined, (len(row), *row[0].shape), order, frozenset(), row[0].dtype)


def _cond(writer: Writer, equation: Equation, which: Value, *values: Value) -> list[Value]:
    if not isinstance(which, Known):
        raise NotImplementedError("a choice that depends on the image")
    branches = equation.params["branches"]
    branch = branches[int(np.clip(which.array, 0, len(branches) - 1))]
    return interpret(writer, branch.jaxpr, [known(x) for x in branch.consts], *values)


_STRUCTURES: dict[str, typing.Callable[..., list[Value]]] = {
    **dict.fromkeys(_CALLS, _call),
    "scan": _scan,
    "cond": _cond,
}
