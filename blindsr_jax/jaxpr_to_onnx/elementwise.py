"""Operations on corresponding elements."""

from __future__ import annotations

import numpy as np
from onnx import helper

from blindsr_jax.jaxpr_to_onnx.lowering import Equation, Value, Writer, lowers
from blindsr_jax.jaxpr_to_onnx.values import known

_SAME = {
    "add": "Add",
    "add_any": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "max": "Max",
    "min": "Min",
    "pow": "Pow",
    "and": "And",
    "or": "Or",
    "not": "Not",
    "neg": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "cos": "Cos",
    "sin": "Sin",
    "tanh": "Tanh",
    "logistic": "Sigmoid",
    "erf": "Erf",
    "floor": "Floor",
}
_COMPARISONS = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}
_IDENTITIES = (
    "stop_gradient",
    "name",
    "copy",
    "copy_p",
    "reduce_precision",
    "optimization_barrier",
    "sharding_constraint",
)


@lowers(*_SAME)
def _same(writer: Writer, equation: Equation, *values: Value) -> Value:
    if equation.primitive.name in ("and", "or", "not") and values[0].dtype != bool:
        raise NotImplementedError(f"{equation.primitive.name} of {values[0].dtype}")
    return writer.elementwise(_SAME[equation.primitive.name], *values)


@lowers(*_COMPARISONS)
def _comparison(writer: Writer, equation: Equation, *values: Value) -> Value:
    return writer.elementwise(_COMPARISONS[equation.primitive.name], *values, dtype=bool)


@lowers("ne")
def _not_equal(writer: Writer, equation: Equation, *values: Value) -> Value:
    return writer.elementwise("Not", writer.elementwise("Equal", *values, dtype=bool))


@lowers("rem")
def _remainder(writer: Writer, equation: Equation, *values: Value) -> Value:
    return writer.elementwise("Mod", *values, fmod=1)  # with the sign of the dividend, as in JAX


@lowers("select_n")
def _select(writer: Writer, equation: Equation, which: Value, *cases: Value) -> Value:
    if which.dtype != bool:
        raise NotImplementedError(f"select_n by {which.dtype}")
    otherwise, then = cases
    return writer.elementwise("Where", which, then, otherwise)


@lowers("integer_pow")
def _integer_power(writer: Writer, equation: Equation, x: Value) -> Value:
    exponent = equation.params["y"]
    if exponent == 2:
        return writer.elementwise("Mul", x, x)
    return writer.elementwise("Pow", x, known(np.asarray(exponent, x.dtype)), dtype=x.dtype)


@lowers("square")
def _square(writer: Writer, equation: Equation, x: Value) -> Value:
    return writer.elementwise("Mul", x, x)


@lowers("rsqrt")
def _inverse_root(writer: Writer, equation: Equation, x: Value) -> Value:
    return writer.elementwise("Reciprocal", writer.elementwise("Sqrt", x))


@lowers("convert_element_type")
def _cast(writer: Writer, equation: Equation, x: Value) -> Value:
    dtype = np.dtype(equation.params["new_dtype"])
    if dtype == x.dtype:
        return x
    return writer.elementwise("Cast", x, dtype=dtype, to=helper.np_dtype_to_tensor_dtype(dtype))


@lowers(*_IDENTITIES)
def _identity(writer: Writer, equation: Equation, *values: Value) -> list[Value]:
    return list(values)
