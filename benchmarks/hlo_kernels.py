"""Kernels that a GPU starts, counted in the text of a program that was compiled for it."""

from __future__ import annotations

import collections
import re

from benchmarks.hlo_cycles import LOOP, computations_of, trips_of

_OPCODE = re.compile(r"^\s*(?:ROOT )?%?[\w.\-]+ = .*? ([a-z][\w\-]*)\(")
_KNOWN_TRIPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')
_CALLED = re.compile(r"(?:to_apply|calls)=%?([\w.\-]+)")
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
# What names, joins or waits for arrays, and what is part of another kernel's start.
_NO_KERNEL = re.compile(
    r"parameter|constant|tuple|get-tuple-element|bitcast(-convert)?|after-all|partition-id|replica-id|.*-done"
)
_CALLS = ("call", "async-start")


def kernels_of(hlo: str) -> tuple[dict[str, int], int]:
    """Count the kernels of a program, those of loops as often as they run. A library call or a branch counts as one.

    Args:
      hlo: ``compiled.as_text()`` of a program for a GPU.

    Returns:
      Kernels by opcode or library call, the most frequent first, and the number of loops whose end is not known; these
      are counted once.
    """
    entry, computations = computations_of(hlo)
    total: collections.Counter[str] = collections.Counter()
    unknown, ahead = 0, [(entry, 1)]
    while ahead:
        name, times = ahead.pop()
        for line in computations.get(name, ()):
            opcode, loop = _OPCODE.search(line), LOOP.search(line)
            if loop:
                known = _KNOWN_TRIPS.search(line)
                trips = int(known.group(1)) if known else trips_of(computations.get(loop.group(1), []))
                unknown += trips is None
                ahead.append((loop.group(2), times * (trips or 1)))
            elif opcode and opcode.group(1) in _CALLS:
                ahead += [(called, times) for called in _CALLED.findall(line)]
            elif opcode and not _NO_KERNEL.fullmatch(opcode.group(1)):
                target = _TARGET.search(line)
                total[target.group(1) if target else opcode.group(1)] += times
    return dict(total.most_common()), unknown
