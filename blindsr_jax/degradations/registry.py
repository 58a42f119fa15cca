"""Tables of what configs, protocols and commands know by name."""

from __future__ import annotations

import typing

_Named = typing.TypeVar("_Named", bound=typing.Callable[..., typing.Any])


def registering(
    table: dict[str, typing.Any], kind: str, name: str, *, reserved: typing.Container[str] = ()
) -> typing.Callable[[_Named], _Named]:
    """A decorator that enters a function or a class into a table. A module may replace its own entries.

    Args:
      table: the entries by name.
      kind: of its entries, for messages.
      name: of the new entry.
      reserved: names that would be ambiguous.

    Raises:
      ValueError: the name is taken by another module, or it cannot be written in a configuration.
    """

    def register(entry: _Named) -> _Named:
        if not name.isidentifier():
            raise ValueError(f"{kind} {name!r}: a name has letters, digits and underscores alone")
        if name in reserved or (name in table and table[name].__module__ != entry.__module__):
            raise ValueError(f"{kind} {name!r}: the name is taken, choose another one")
        table[name] = entry
        return entry

    return register
