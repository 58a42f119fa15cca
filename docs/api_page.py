"""The page docs/api.md, made from the docstrings of the public names; ``python docs/make.py api`` writes it."""

from __future__ import annotations

import importlib
import inspect
import itertools
import re
import types
import typing

PACKAGES = ("blindsr_jax", *(f"blindsr_jax.{name}" for name in (
    "ops", "degradations", "metrics", "networks", "losses", "training", "weights",
)))  # fmt: skip
_HEAD = """# Public names

Made from the docstrings by `python docs/make.py api`. Names that are not here may move. B is the number of images, H×W
the size of an LR image, s the scale, K the side of a kernel, L the length of its code, T the number of unfolded steps.
Images are [B, H, W, C] in [0, 1]. A wrong argument raises `BlindSRError` where its value is known; traced ones pass.
"""
_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises)(.*):$")
_ITEM = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)$")


def api_page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(part for package in PACKAGES for part in _package(package))])


def public_names(package: str) -> dict[str, typing.Any]:
    """The documented names of a package and what they stand for; without modules, aliases of types and the version."""
    room = importlib.import_module(package)
    values = {name: getattr(room, name) for name in room.__all__ if not name.startswith("__")}
    return {name: value for name, value in values.items() if not _is_module_or_alias(value)}


def _is_module_or_alias(value: typing.Any) -> bool:
    """Whether a name stands for a module or for a type such as ``Callable[..., X]``, which have no entries."""
    return isinstance(value, types.ModuleType) or typing.get_origin(value) is not None


def _package(package: str) -> list[str]:
    first = inspect.getdoc(importlib.import_module(package)).split("\n\n")[0]
    parts = [f"## {package}\n", _inline(first) + "\n"]
    for name, value in sorted(public_names(package).items(), key=lambda item: item[0].lower()):
        parts += _entry(name, value)
    return parts


def _entry(name: str, value: typing.Any) -> list[str]:
    if not callable(value):
        return [f"### {name}\n", f"A table of {', '.join(f'`{key}`' for key in value)}.\n"] if _is_table(value) else []
    parts = [f"### {name}\n", f"```text\n{name}{signature(value)}\n```\n", *_text(inspect.getdoc(value))]
    if inspect.isclass(value):
        methods = _methods(value)
        call = methods.pop("__call__", None)
        if call is not None:
            parts += [f"```text\nself{signature(call, bound=True)}\n```\n", *_text(inspect.cleandoc(call.__doc__))]
        parts += ["\n".join(itertools.starmap(_method, sorted(methods.items()))) + "\n"] if methods else []
    return parts


def _is_table(value: typing.Any) -> bool:
    return isinstance(value, dict)


def _methods(cls: type) -> dict[str, typing.Any]:
    """Public methods and properties of a class, those of its bases in this project included."""
    found = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("blindsr_jax"):
            found |= {name: x for name, x in vars(base).items() if _is_method(name, x)}
    return found


def _is_method(name: str, value: typing.Any) -> bool:
    if name.startswith("_") and name != "__call__":
        return False
    value = getattr(value, "func", value)  # of a cached property
    if inspect.isfunction(value) and not value.__module__.startswith("blindsr_jax"):
        return False  # added by a library
    return (inspect.isfunction(value) or isinstance(value, property)) and bool(value.__doc__)


def _method(name: str, value: typing.Any) -> str:
    call = signature(value, bound=True) if inspect.isfunction(value) else ""
    documented = getattr(value, "func", value)  # of a cached property
    return f"- `{name}{call}`: {_inline(inspect.cleandoc(documented.__doc__).split(chr(10) * 2)[0])}"


def signature(value: typing.Any, *, bound: bool = False) -> str:
    """The parameters of a function or a class, without types, which the text gives with their shapes.

    Args:
      value: what is called.
      bound: leave the first parameter, ``self``, out.
    """
    try:
        found = inspect.signature(value)
    except ValueError:
        return "(...)"
    parameters = [p.replace(annotation=p.empty) for p in found.parameters.values()][bound:]
    parameters = [p for p in parameters if p.name not in ("parent", "name") or not inspect.isclass(value)]
    text = str(inspect.Signature(parameters))
    return re.sub(r"<(?:function|class) ?'?([\w.]+).*?>|<factory>", lambda m: m[1] or "...", text)


def _text(doc: str) -> list[str]:
    """Paragraphs and sections of a docstring as Markdown."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", doc):
        lines = paragraph.split("\n")
        section = _SECTION.match(lines[0])
        if section:
            parts.append(_section(section[1] + section[2], lines[1:]))
        elif lines[0].startswith(">>>"):
            parts.append("```pycon\n" + "\n".join(lines) + "\n```\n")
        else:
            parts.append(_inline(paragraph) + "\n")
    return parts


def _section(title: str, lines: list[str]) -> str:
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    items: list[str] = []
    for line in (line[indent:] for line in lines):
        if items and (line.startswith(" ") or title == "Returns"):
            items[-1] += " " + line.strip()
        else:
            items.append(line.strip())
    named = (_ITEM.sub(r"`\1`: \2", item) for item in items)
    return f"{title}:\n" + "\n".join(f"- {_inline(item)}" for item in named) + "\n"


def _inline(text: str) -> str:
    """One line, with code as Markdown writes it."""
    return re.sub(r"``(.+?)``", r"`\1`", re.sub(r"\s+", " ", text))
