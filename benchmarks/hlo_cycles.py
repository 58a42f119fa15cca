"""What a compiled program runs, by its text; and its cycles, as the compiler of TPUs estimates them."""

from __future__ import annotations

import collections
import dataclasses
import re
import typing

OUTSIDE = "degradation, loss and update"  # of a training step, what no part of the network does
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*{$")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_LOOP = re.compile(r"\bwhile\(.*\bcondition=%?([\w.\-]+), body=%?([\w.\-]+)")
_LIMIT = re.compile(r"= s32\[\]\S* constant\((\d+)\)")
_BELOW = re.compile(r"^ *ROOT .*\bcompare\(.*direction=LT")
# An exchange of arrays between devices: one instruction, or two that other instructions stand between.
_EXCHANGE = re.compile(
    r'%([\w.\-]+) = [^"]*? ((?:all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute|async)(?:-start)?)\('
)
_DONE = re.compile(r"-done\(.*?%([\w.\-]+)\)")
_KNOWN_TRIPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')
_CALLS = re.compile(r"\bcalls=%?([\w.\-]+)")
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
    entry, computations = computations_of(hlo)
    return _cycles(computations, [(entry, 1)], part_of)


def _cycles(
    computations: dict[str, list[str]], ahead: list[tuple[str, int]], part_of: typing.Callable[[str], str]
) -> tuple[dict[str, int], int]:
    """``cycles_by_part`` of computations, each as often as it is asked for."""
    total: collections.Counter[str] = collections.Counter()
    lines, unknown = lines_run(computations, ahead)
    for line, times in lines:
        cycles, named = _CYCLES.search(line), _NAME.search(line)
        if cycles:
            total[part_of(named.group(1) if named else "")] += int(cycles.group(1)) * times
    return dict(total.most_common()), unknown


def lines_run(
    computations: dict[str, list[str]],
    ahead: list[tuple[str, int]],
    called_by: typing.Callable[[str], list[str]] = lambda line: [],
) -> tuple[list[tuple[str, int]], int]:
    """List the instructions that a program runs, other than loops and calls, and how often each runs.

    Args:
      computations: the lines of each.
      ahead: the computations to begin with, and how often each runs.
      called_by: the computations that an instruction calls, whose instructions then stand for it.

    Returns:
      Instructions and counts, and the number of loops whose end is not known; their bodies count once.
    """
    found, unknown = [], 0
    while ahead:
        name, times = ahead.pop()
        for line in computations.get(name, ()):
            loop, called = _LOOP.search(line), called_by(line)
            if loop:
                trips = _trips(line, computations.get(loop.group(1), []))
                unknown += trips is None
                ahead.append((loop.group(2), times * (trips or 1)))
            elif called:
                ahead += [(one, times) for one in called]
            else:
                found.append((line, times))
    return found, unknown


@dataclasses.dataclass(frozen=True)
class Hiding:
    """Whether an exchange can hide behind computing, by the schedule of the compiled program.

    Attributes:
      kind: HLO opcode; that of the wrapped instruction if it is below ``async-start``.
      asynchronous: whether it starts and ends in two instructions.
      hidden_cycles: cycles of the instructions between these two; 0 for a synchronous one, which all others wait for.
    """

    kind: str
    asynchronous: bool
    hidden_cycles: int


def hiding_of(hlo: str) -> list[Hiding]:
    """List what hides each exchange of a program, in the order of the text, which is that of execution.

    Args:
      hlo: ``compiled.as_text()`` of a scheduled program.
    """
    computations = computations_of(hlo)[1]
    wrapped = {
        call.group(1): start.group(1)
        for lines in computations.values()
        for line in lines
        if (start := _EXCHANGE.search(line)) and start.group(2) == "async-start" and (call := _CALLS.search(line))
    }
    found = []
    for name, lines in computations.items():
        for i, line in enumerate(lines):
            start = _EXCHANGE.search(line)
            if not start or name in wrapped or start.group(2) == "async":
                continue
            kind = start.group(2).removesuffix("-start")
            if kind == "async":
                inner = [_EXCHANGE.search(text) for text in computations.get(_called(line), ())]
                kind = next((one.group(2) for one in inner if one), "")
            if kind:
                between = _until_done(start.group(1), lines[i + 1 :]) if start.group(2).endswith("-start") else None
                found.append(Hiding(kind, between is not None, _sum(computations, between or [])))
    return found


def _called(line: str) -> str:
    call = _CALLS.search(line)
    return call.group(1) if call else ""


def _until_done(name: str, lines: list[str]) -> list[str]:
    """The lines before the one that ends the exchange ``name``."""
    ends = [i for i, line in enumerate(lines) if (done := _DONE.search(line)) and done.group(1) == name]
    return lines[: ends[0]] if ends else []


def _sum(computations: dict[str, list[str]], lines: list[str]) -> int:
    """The cycles of lines, with the loops that they start."""
    return sum(_cycles(computations | {"": lines}, [("", 1)], lambda name: "")[0].values())


def computations_of(hlo: str) -> tuple[str, dict[str, list[str]]]:
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


def _trips(loop: str, condition: list[str]) -> int | None:
    """How often a loop runs: as XLA for GPUs writes, or the one constant that its count stays below."""
    known = _KNOWN_TRIPS.search(loop)
    if known:
        return int(known.group(1))
    limits = [limit.group(1) for limit in map(_LIMIT.search, condition) if limit]
    return int(limits[0]) if len(limits) == 1 and any(map(_BELOW.match, condition)) else None


def part_of_network(name: str, parameters: typing.Mapping[str, typing.Any]) -> str:
    """Name the part of a network that an instruction belongs to.

    Args:
      name: its ``op_name``, such as ``jit(train_step)/transpose(jvp(DAN))/restorer/body/…``.
      parameters: the network's, whose first two levels are its parts.

    Returns:
      Such as ``restorer/body, backward``; or ``OUTSIDE``.
    """
    steps = name.split("/")
    first = next((i for i, step in enumerate(steps) if step in parameters), None)
    if first is None:
        return OUTSIDE
    top = steps[first]
    second = next((step for step in steps[first + 1 :] if step in parameters[top]), "")
    backward = ", backward" if any("transpose(" in step for step in steps) else ""
    return "/".join(filter(None, (top, second))) + backward
