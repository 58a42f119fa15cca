"""The table of operations: for each primitive of JAX, the function that writes it."""

from __future__ import annotations

import typing

from blindsr_jax.jaxpr_to_onnx.values import Value
from blindsr_jax.jaxpr_to_onnx.writer import Writer

Equation = typing.Any  # jax.extend.core.JaxprEqn
Results = list[Value]
Lowering = typing.Callable[..., Value | Results]

LOWERINGS: dict[str, Lowering] = {}


def lowers(*primitives: str) -> typing.Callable[[Lowering], Lowering]:
    """Register a function (writer, equation, *values) -> value, or values, for primitives."""

    def register(function: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(primitives, function))
        return function

    return register


def shape_of(equation: Equation, result: int = 0) -> tuple[typing.Any, ...]:
    """Return the shape of a result of an equation."""
    return tuple(equation.outvars[result].aval.shape)


__all__ = ["LOWERINGS", "Equation", "Results", "Value", "Writer", "lowers", "shape_of"]
