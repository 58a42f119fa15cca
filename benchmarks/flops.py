"""FLOP and bytes of the convolutions and matrix products of a program, counted in its trace.

XLA's count for the compiled program (``cost_analysis``) includes the body of a loop only once. This count multiplies it
by the number of iterations. It also does so for loop-invariant parts that XLA computes once, such as DAN's composed
sub-pixel kernels.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import re
import typing

import jax
from jax.interpreters import partial_eval

FORWARD = "convolutions, forward"
TO_INPUT, TO_KERNEL = "convolutions, gradient to input", "convolutions, gradient to kernel"
PRODUCTS = "other matrix products"
# On a CPU ``ops.convolution`` computes the gradient to a kernel by matrix products in a branch of a ``cond``.
_IN_BRANCH = re.compile(r"transpose\(.*/cond/")


@dataclasses.dataclass
class Work:
    """Work of all products of one kind.

    Attributes:
      flop: multiplications and additions, including those with the zeros around an image.
      bytes: bytes of operands and results, counted once for each product. This is the traffic if all other operations
        were fused into the products.
    """

    flop: float = 0.0
    bytes: float = 0.0


def kind_of_product(path: str, *, convolution: bool) -> str:
    """The kind of a convolution or matrix product.

    Args:
      path: scopes and transformations around it in the trace, as in HLO's ``op_name``.
      convolution: whether it is a convolution. A convolution that contracts the batch must be recognised before, by
        its dimension numbers.
    """
    if in_kernel_gradient(path):
        return TO_KERNEL
    if not convolution:
        return PRODUCTS
    return TO_INPUT if "transpose(" in path else FORWARD


def in_kernel_gradient(path: str) -> bool:
    """Whether an operation belongs to the kernel gradient of ``ops.convolution``."""
    return bool(_IN_BRANCH.search(path))


def work_of(function: typing.Callable[..., typing.Any], *arguments: typing.Any) -> dict[str, Work]:
    """The work of one call, by kind.

    Args:
      function: anything that JAX can trace.
      *arguments: arrays or their shapes.

    Raises:
      ValueError: the program has a loop with an unknown number of iterations.
    """
    total: dict[str, Work] = collections.defaultdict(Work)
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    needed, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    _add(needed, "", 1, total)
    return dict(total)


def _add(jaxpr: typing.Any, path: str, times: int, total: dict[str, Work]) -> None:
    platforms = {}
    for equation in jaxpr.eqns:
        name, here = equation.primitive.name, f"{path}/{equation.source_info.name_stack}"
        if name == "platform_index":
            platforms[equation.outvars[0]] = equation.params["platforms"]
        elif name in ("conv_general_dilated", "dot_general"):
            work = total[_kind(equation, here)]
            work.flop += times * _flop(equation)
            work.bytes += times * sum(v.aval.size * v.aval.dtype.itemsize for v in equation.invars + equation.outvars)
        elif name == "while":
            raise ValueError(f"{here}: no one knows how often this loop turns")
        elif name == "cond":
            index = _branch(platforms.get(equation.invars[0]))
            _add(equation.params["branches"][index].jaxpr, f"{here}/cond", times, total)
        else:
            for inner in _inner(equation):
                _add(inner, f"{here}/{name}", times * equation.params.get("length", 1), total)


def _inner(equation: typing.Any) -> typing.Iterator[typing.Any]:
    for value in equation.params.values():
        value = getattr(value, "jaxpr", value)
        if hasattr(value, "eqns"):
            yield value


def _branch(platforms: tuple[tuple[str, ...] | None, ...] | None) -> int:
    """The branch for this platform. For a condition on data, the last one; the networks have no such condition."""
    if platforms is None:
        return -1
    return next(i for i, names in enumerate(platforms) if names is None or jax.default_backend() in names)


def _kind(equation: typing.Any, path: str) -> str:
    convolution = equation.primitive.name == "conv_general_dilated"
    if convolution and equation.params["dimension_numbers"].lhs_spec[0] != 0:
        return TO_KERNEL  # the batch takes the place of the channels
    return kind_of_product(path, convolution=convolution)


def _flop(equation: typing.Any) -> float:
    first, second = (variable.aval.shape for variable in equation.invars)
    if equation.primitive.name == "dot_general":
        terms = math.prod(first[axis] for axis in equation.params["dimension_numbers"][0][0])
    else:
        _, channels, *window = equation.params["dimension_numbers"].rhs_spec
        terms = second[channels] * math.prod(second[axis] for axis in window)
        terms /= math.prod(equation.params["lhs_dilation"])  # without the zeros that dilation inserts
    return 2.0 * equation.outvars[0].aval.size * terms
