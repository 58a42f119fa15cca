"""Registries: tables of the functions and classes that configs, protocols and commands refer to by name."""

from __future__ import annotations

import typing

from blindsr_jax.errors import InputError

_Named = typing.TypeVar("_Named", bound=typing.Callable[..., typing.Any])


def registering(
    table: dict[str, typing.Any], kind: str, name: str, *, reserved: typing.Container[str] = ()
) -> typing.Callable[[_Named], _Named]:
    """Make a decorator that registers a function or class in a table. A module may replace its own entries.

    Args:
      table: the entries by name.
      kind: kind of the entries, for messages.
      name: name of the new entry.
      reserved: names that are not allowed because they would be ambiguous.

    Raises:
      InputError: the name belongs to another module's entry, is reserved, or is not an identifier.
    """

    def register(entry: _Named) -> _Named:
        if not name.isidentifier():
            raise InputError(f"{kind} {name!r}: a name has letters, digits and underscores alone")
        if name in reserved or (name in table and table[name].__module__ != entry.__module__):
            raise InputError(f"{kind} {name!r}: the name is taken, choose another one")
        table[name] = entry
        return entry

    return register
