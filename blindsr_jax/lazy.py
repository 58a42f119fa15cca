"""Public names of a package that are imported when they are first used."""

from __future__ import annotations

import importlib
import typing

Attribute = typing.Callable[[str], typing.Any]


def attach(package: str, places: typing.Mapping[str, str], needs: str = "") -> tuple[Attribute, list[str]]:
    """The ``__getattr__`` and ``__all__`` of a package whose names live in other modules.

    Args:
      package: its full name.
      places: full name of the module of each public name; a module of the package itself is a name of its own.
      needs: the extra of this project that brings the libraries of these modules, named if one of them is missing.
    """

    def attribute(name: str) -> typing.Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = importlib.import_module(places[name])
        except ModuleNotFoundError as missing:
            if not needs or (missing.name or "").startswith("blindsr_jax"):
                raise
            hint = f"{package}.{name} needs {missing.name}: {how_to_install(needs)}"
            raise ModuleNotFoundError(hint, name=missing.name) from missing
        return module if places[name] == f"{package}.{name}" else getattr(module, name)

    return attribute, sorted(places)


def how_to_install(extra: str) -> str:
    """How to install an extra of this project, which is on no package index."""
    return f"in your clone of the repository, pip install -e '.[{extra}]'"
