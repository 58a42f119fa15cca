"""Degradations as text, for configs, command lines and reports.

A text lists steps by name, each with its options, such as

    blur(isotropic(sigma=(0.2, 4.0))), downsample("bicubic"), noise((0, 15)), jpeg((30, 95)), round8()

It can also contain the names of orders, with or without options: ``photo``, ``photo(jpeg_rate=1.0)``. Values are Python
literals, and nothing is executed. As the value of an option, a name denotes a kernel sampler. Inside a tuple, as in
``one_of(((photo,), (downsample(), round8())), (0.5, 0.5))``, it denotes a step or an order.
"""

from __future__ import annotations

import ast
import dataclasses
import typing

from blindsr_jax.degradations import published_orders  # noqa: F401  (registers them)
from blindsr_jax.degradations.orders import ORDERS
from blindsr_jax.degradations.samplers import SAMPLERS, Kernels, kernels_of
from blindsr_jax.degradations.steps import STEPS, Steps
from blindsr_jax.errors import InputError


def steps_from_text(text: str, scale: int) -> Steps:
    """Parse a text into steps.

    Args:
      text: see the module's docstring.
      scale: s, which orders depend on.

    Raises:
      InputError: the text is malformed, or names an unknown step, order, sampler or option.
    """
    try:
        parsed = ast.parse(f"(\n{text.strip().removesuffix(',')}\n,)", mode="eval").body
        if not isinstance(parsed, ast.Tuple):
            raise SyntaxError
        return _steps(parsed.elts, scale)
    except (SyntaxError, RecursionError, MemoryError):
        shown = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
        raise InputError(f"degradation {shown!r}: expected steps such as {_EXAMPLE}") from None


def text_of_steps(steps: Steps) -> str:
    """Format steps as text that ``steps_from_text`` reads."""
    return ", ".join(map(_text, steps))


_OWN = "One of your own is known after its module was imported: blindsr --import MODULE"
_EXAMPLE = 'blur(isotropic(sigma=(0.2, 4.0))), downsample("bicubic"), jpeg((30, 95)), round8()'
_LONGEST_SHOWN = 200


def _steps(nodes: typing.Sequence[ast.expr], scale: int) -> Steps:
    steps: list[typing.Any] = []
    for node in nodes:
        name, arguments, options = _call(node, scale)
        if name in ORDERS:
            steps += _made(name, ORDERS[name], (scale, *arguments), options)
        elif name in STEPS:
            steps.append(_made(name, STEPS[name], arguments, options))
        else:
            raise InputError(f"there is no degradation step {name!r}; known are {', '.join([*STEPS, *ORDERS])}. {_OWN}")
    return tuple(steps)


def _call(node: ast.expr, scale: int) -> tuple[str, list[typing.Any], dict[str, typing.Any]]:
    """Name, arguments and options of ``name(...)`` or of a bare name."""
    if isinstance(node, ast.Name):
        return node.id, [], {}
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise InputError(f"{ast.unparse(node)!r} is no degradation step: expected steps such as {_EXAMPLE}")
    options = {keyword.arg or "**": _value(keyword.value, scale) for keyword in node.keywords}
    if len(options) < len(node.keywords):
        raise InputError(f"{ast.unparse(node)!r} has an option twice")
    return node.func.id, [_value(argument, scale) for argument in node.args], options


def _value(node: ast.expr, scale: int) -> typing.Any:
    if isinstance(node, ast.Call | ast.Name):
        name, arguments, options = _call(node, scale)
        if name not in SAMPLERS or arguments:
            raise InputError(
                f"{ast.unparse(node)!r} is no kernel sampler with options; known are {', '.join(SAMPLERS)}. {_OWN}"
            )
        return kernels_of(name, **options)
    if isinstance(node, ast.Tuple | ast.List):
        items: list[typing.Any] = []
        for item in node.elts:
            items += _steps([item], scale) if isinstance(item, ast.Call | ast.Name) else [_value(item, scale)]
        return tuple(items)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise InputError(f"{ast.unparse(node)!r} is no plain value") from None


def _made(name: str, make: typing.Callable[..., typing.Any], arguments: typing.Iterable, options: dict) -> typing.Any:
    try:
        return make(*arguments, **options)
    except TypeError as error:
        raise InputError(f"degradation step {name!r}: {str(error).split('() ', 1)[-1]}") from None


def _text(value: typing.Any) -> str:
    if isinstance(value, Kernels):
        return f"{value.sampler}({', '.join(f'{name}={_text(item)}' for name, item in value.options)})"
    if type(value) in STEPS.values():
        changed = [
            f"{field.name}={_text(getattr(value, field.name))}"
            for field in dataclasses.fields(value)
            if getattr(value, field.name) != field.default
        ]
        return f"{value.name}({', '.join(changed)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))}{',' if len(value) == 1 else ''})"
    return repr(value)
