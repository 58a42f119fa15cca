"""What the devices of a compiled program exchange, read from its HLO text."""

from __future__ import annotations

import dataclasses
import math
import re

_KINDS = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute", "collective-broadcast")
# An asynchronous one is two instructions; the second, -done, has the result alone.
_EXCHANGE = re.compile(rf'= ([^"]*?) (?:ragged-)?({"|".join(_KINDS)})(?:-done)?\(')
_ARRAY = re.compile(r"\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*{$")
_CALLED = re.compile(r"%([\w.\-]+)")
_LOOP = re.compile(r"\bbody=%?([\w.\-]+)")


@dataclasses.dataclass(frozen=True)
class Collective:
    """An exchange between devices.

    Attributes:
      kind: HLO's opcode.
      arrays: exchanged at once.
      bytes: of them, on each device, when it is done.
      repeated: whether it stands inside a loop, and so happens more often than it is written.
    """

    kind: str
    arrays: int
    bytes: int
    repeated: bool


def collectives_of(hlo: str) -> list[Collective]:
    """All exchanges of a program, in the order of its text.

    Args:
      hlo: from ``compiled.as_text()``.
    """
    parts = _computations(hlo)
    inside = _repeated(parts)
    return [
        Collective(match.group(2), *_measure(match.group(1)), name in inside)
        for name, lines in parts.items()
        for match in map(_EXCHANGE.search, lines)
        if match
    ]


def _computations(hlo: str) -> dict[str, list[str]]:
    """The lines of each computation, by its name."""
    parts, name = {"": []}, ""
    for line in hlo.splitlines():
        head = _COMPUTATION.match(line)
        if head:
            name = head.group(1)
            parts[name] = []
        else:
            parts[name].append(line)
    return parts


def _repeated(parts: dict[str, list[str]]) -> set[str]:
    """The names of all computations that a loop runs, by itself or through others."""
    found: set[str] = set()
    ahead = [name for lines in parts.values() for line in lines for name in _LOOP.findall(line)]
    while ahead:
        name = ahead.pop()
        if name in parts and name not in found:
            found.add(name)
            ahead += [called for line in parts[name] for called in _CALLED.findall(line)]
    return found


def _measure(shape: str) -> tuple[int, int]:
    """How many arrays a result has, and their bytes."""
    arrays = _ARRAY.findall(shape)
    sizes = [math.prod(int(side) for side in sides.split(",") if side) for _, _, sides in arrays]
    bits = [int(digits) if digits else 8 for _, digits, _ in arrays]  # a bool takes a byte
    return len(arrays), sum(size * width for size, width in zip(sizes, bits)) // 8
