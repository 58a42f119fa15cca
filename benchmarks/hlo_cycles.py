"""Cycles in the text of a program that was compiled for a TPU, as its compiler estimates them."""

from __future__ import annotations

import collections
import re
import typing

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*{$")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_LOOP = re.compile(r"\bwhile\(.*\bcondition=%?([\w.\-]+), body=%?([\w.\-]+)")
_LIMIT = re.compile(r"= s32\[\]\S* constant\((\d+)\)")
_BELOW = re.compile(r"^ *ROOT .*\bcompare\(.*direction=LT")
_NAME = re.compile(r'op_name="([^"]*)"')


def cycles_by_part(hlo: str, part_of: typing.Callable[[str], str]) -> tuple[dict[str, int], int]:
    """Sum the cycles of a program, the bodies of loops as often as they run.

    A loop of JAX counts from zero, and its condition compares the count with a constant.

    Args:
      hlo: ``compiled.as_text()``.
      part_of: the part of the network from an instruction's ``op_name``.

    Returns:
      Cycles of each part, the largest first, and the number of loops whose end is no constant; these are counted once.
    """
    entry, computations = _computations(hlo)
    total: collections.Counter[str] = collections.Counter()
    unknown = 0
    ahead = [(entry, 1)]
    while ahead:
        name, times = ahead.pop()
        for line in computations.get(name, ()):
            loop, cycles, named = (pattern.search(line) for pattern in (_LOOP, _CYCLES, _NAME))
            if loop:
                trips = _trips(computations.get(loop.group(1), []))
                unknown += trips is None
                ahead.append((loop.group(2), times * (trips or 1)))
            elif cycles:
                total[part_of(named.group(1) if named else "")] += int(cycles.group(1)) * times
    return dict(total.most_common()), unknown


def _computations(hlo: str) -> tuple[str, dict[str, list[str]]]:
    """The name of the entry, and the lines of each computation."""
    computations: dict[str, list[str]] = {}
    entry = name = ""
    for line in hlo.splitlines():
        head = _COMPUTATION.match(line)
        if head:
            name = head.group(2)
            entry = name if head.group(1) else entry
        computations.setdefault(name, []).append(line)
    return entry, computations


def _trips(condition: list[str]) -> int | None:
    """How often a loop runs: the one constant that its count stays below."""
    limits = [limit.group(1) for limit in map(_LIMIT.search, condition) if limit]
    return int(limits[0]) if len(limits) == 1 and any(map(_BELOW.match, condition)) else None


def part_of_network(name: str, parameters: typing.Mapping[str, typing.Any]) -> str:
    """Name the part of a network that an instruction belongs to.

    Args:
      name: its ``op_name``, such as ``jit(train_step)/transpose(jvp(DAN))/restorer/body/…``.
      parameters: the network's, whose first two levels are its parts.

    Returns:
      Such as ``restorer/body, backward``; or ``degradation and update`` outside the network.
    """
    steps = name.split("/")
    first = next((i for i, step in enumerate(steps) if step in parameters), None)
    if first is None:
        return "degradation, loss and update"
    top = steps[first]
    second = next((step for step in steps[first + 1 :] if step in parameters[top]), "")
    backward = ", backward" if any("transpose(" in step for step in steps) else ""
    return "/".join(filter(None, (top, second))) + backward
