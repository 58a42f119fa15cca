"""Time of a compiled program by kind of operation. JAX's profiler gives the times, the HLO text gives the kinds."""

from __future__ import annotations

import collections
import glob
import gzip
import json
import pathlib
import re
import tempfile
import typing

import jax

from benchmarks.flops import PRODUCTS, TO_KERNEL, in_kernel_gradient, kind_of_product

ELEMENTWISE, MOVED = "elementwise and sums", "copies, paddings, slices"
WAITING = "between operations"
_CONTAINERS = {"while", "call", "conditional"}  # the operations inside them are timed separately
_PRODUCTS = {"convolution", "dot", "custom-call"}  # custom calls go to the libraries of accelerators
_MOVING = {
    *("copy", "pad", "slice", "dynamic-slice", "dynamic-update-slice", "concatenate", "transpose", "reshape"),
    *("bitcast", "broadcast", "reverse", "tuple", "get-tuple-element", "parameter", "constant", "gather", "scatter"),
}
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = .*? ([a-z][a-z0-9\-]*)\(")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*{$")
_CALLS, _PATH = re.compile(r"calls=%?([\w.\-]+)"), re.compile(r'op_name="([^"]*)"')


def shares(compiled: typing.Any, arguments: tuple[typing.Any, ...], repeats: int) -> dict[str, float]:
    """Share of the wall time of a compiled program that each kind of operation takes. The shares sum to one.

    Operations that ran at the same time on several threads count in full, so no time may remain between operations.

    Args:
      compiled: from ``jax.jit(…).lower(…).compile()``, already called once.
      arguments: arguments of the call, not donated.
      repeats: number of calls under the profiler.
    """
    kinds = kinds_of(compiled.as_text())
    events, wall = _events(lambda: jax.block_until_ready(compiled(*arguments)), repeats)
    times: dict[str, float] = collections.defaultdict(float)
    for event in events:
        kind = kinds.get(event["args"]["hlo_op"])
        if kind:
            times[kind] += event["dur"]
    times[WAITING] = max(0.0, wall - sum(times.values()))
    total = sum(times.values())
    return {kind: time / total for kind, time in times.items()}


def kinds_of(hlo: str) -> dict[str, str]:
    """The kinds of a program's instructions by name, except for containers such as loops."""
    lines, inside = _parsed(hlo)
    # XLA drops the name of a convolution when it permutes its dimensions, as it does for gradients to kernels.
    kinds, nameless = {}, TO_KERNEL if "transpose(jvp(" in hlo else PRODUCTS
    for name, opcode, line in lines:
        if opcode in _CONTAINERS:
            continue
        called = _CALLS.search(line)
        kinds[name] = _kind([(opcode, line), *(inside.get(called.group(1), []) if called else [])], nameless)
    return kinds


def _parsed(hlo: str) -> tuple[list[tuple[str, str, str]], dict[str, list[tuple[str, str]]]]:
    """Name, opcode and text of all instructions, and opcodes and texts by computation."""
    lines, inside, computation = [], collections.defaultdict(list), ""
    for line in hlo.splitlines():
        head, found = _COMPUTATION.match(line), _INSTRUCTION.match(line)
        if head:
            computation = head.group(1)
        elif found:
            lines.append((found.group(1), found.group(2), line))
            inside[computation].append((found.group(2), line))
    return lines, inside


def _kind(parts: list[tuple[str, str]], nameless: str) -> str:
    """The kind of an instruction, given with the instructions of its fusion. ``nameless`` is for unnamed products."""
    paths = [path.group(1) if path else "" for path in (_PATH.search(line) for _, line in parts)]
    if any(map(in_kernel_gradient, paths)):
        return TO_KERNEL
    for (opcode, line), path in zip(parts, paths):
        if opcode in _PRODUCTS:
            if "convBackwardFilter" in line:  # cuDNN's name for it
                return TO_KERNEL
            return kind_of_product(path, convolution=path.endswith("conv_general_dilated")) if path else nameless
    return MOVED if all(opcode in _MOVING | {"fusion"} for opcode, _ in parts) else ELEMENTWISE


def _events(run: typing.Callable[[], typing.Any], repeats: int) -> tuple[list[dict[str, typing.Any]], float]:
    """The events on the device, and the microseconds from first to last event, summed over the calls."""
    options, events, wall = jax.profiler.ProfileOptions(), [], 0.0
    options.python_tracer_level = 0
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            with jax.profiler.trace(folder, profiler_options=options):
                run()
            (path,) = glob.glob(str(pathlib.Path(folder, "**", "*.trace.json.gz")), recursive=True)
            with gzip.open(path) as file:
                found = [event for event in json.load(file)["traceEvents"] if "hlo_op" in event.get("args", {})]
        events += found
        wall += max(event["ts"] + event["dur"] for event in found) - min(event["ts"] for event in found)
    return events, wall
