"""The work of a program: multiplications and additions of its convolutions and matrix products, counted, not measured.

The compiled program does not tell: XLA's own count (``cost_analysis``) visits the body of a loop once, however often it
runs. So the equations are counted as JAX traced them, those of a loop as often as it turns, also
where XLA computes once what is the same at every turn (as DAN's composed sub-pixel kernels).
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
# ``ops.convolution`` computes the gradient to a kernel on a CPU in a branch of its own, out of matrix products.
_IN_BRANCH = re.compile(r"transpose\(.*/cond/")


@dataclasses.dataclass
class Work:
    """Of all products of one kind.

    Attributes:
      flop: multiplications and additions, those with zeros around an image among them.
      bytes: of their operands and results, each read or written once for each product: what must be moved if
        everything else were computed on the way.
    """

    flop: float = 0.0
    bytes: float = 0.0


def kind_of_product(path: str, *, convolution: bool) -> str:
    """What a convolution or matrix product computes.

    Args:
      path: scopes and transformations that it was traced in, as in HLO's ``op_name``.
      convolution: whether it is one; one that contracts the batch must be told from its numbers of dimensions.
    """
    if in_kernel_gradient(path):
        return TO_KERNEL
    if not convolution:
        return PRODUCTS
    return TO_INPUT if "transpose(" in path else FORWARD


def in_kernel_gradient(path: str) -> bool:
    """Whether an operation is part of what ``ops.convolution`` does for the gradient to a kernel."""
    return bool(_IN_BRANCH.search(path))


def work_of(function: typing.Callable[..., typing.Any], *arguments: typing.Any) -> dict[str, Work]:
    """The work of one call, by kind.

    Args:
      function: anything that JAX can trace.
      *arguments: arrays or their shapes.

    Raises:
      ValueError: a loop whose number of turns is not known before it runs.
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
    """The one for this device; of a condition on data, of which there is none in the networks, the last."""
    if platforms is None:
        return -1
    return next(i for i, names in enumerate(platforms) if names is None or jax.default_backend() in names)


def _kind(equation: typing.Any, path: str) -> str:
    convolution = equation.primitive.name == "conv_general_dilated"
    if convolution and equation.params["dimension_numbers"].lhs_spec[0] != 0:
        return TO_KERNEL  # the images of the batch are its channels
    return kind_of_product(path, convolution=convolution)


def _flop(equation: typing.Any) -> float:
    first, second = (variable.aval.shape for variable in equation.invars)
    if equation.primitive.name == "dot_general":
        terms = math.prod(first[axis] for axis in equation.params["dimension_numbers"][0][0])
    else:
        _, channels, *window = equation.params["dimension_numbers"].rhs_spec
        terms = second[channels] * math.prod(second[axis] for axis in window)
        terms /= math.prod(equation.params["lhs_dilation"])  # the zeros between are not there
    return 2.0 * equation.outvars[0].aval.size * terms
