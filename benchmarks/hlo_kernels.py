"""Kernels that a GPU starts, counted in the text of a program that was compiled for it."""

from __future__ import annotations

import collections
import re

from benchmarks.hlo_cycles import computations_of, lines_run

_OPCODE = re.compile(r"^\s*(?:ROOT )?%?[\w.\-]+ = .*? ([a-z][\w\-]*)\(")
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
    lines, unknown = lines_run(computations, [(entry, 1)], _called)
    total: collections.Counter[str] = collections.Counter()
    for line, times in lines:
        opcode = _OPCODE.search(line)
        if opcode and not _NO_KERNEL.fullmatch(opcode.group(1)):
            target = _TARGET.search(line)
            total[target.group(1) if target else opcode.group(1)] += times
    return dict(total.most_common()), unknown


def _called(line: str) -> list[str]:
    opcode = _OPCODE.search(line)
    return _CALLED.findall(line) if opcode and opcode.group(1) in _CALLS else []
