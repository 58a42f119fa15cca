"""The worker's end of a benchmark process: it prepares contenders and runs them on request.

This module imports neither JAX nor PyTorch; ``jax_worker`` and ``peers.torch_worker`` do.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import pathlib
import re
import sys
import time
import typing

import numpy as np

READY = "ready\n"
Handlers = dict[str, typing.Callable[..., typing.Any]]
_STATUS, _CLEAR = pathlib.Path("/proc/self/status"), pathlib.Path("/proc/self/clear_refs")


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A computation to time.

    Attributes:
      run: computes once and returns when the device has finished.
      outcome: computes for the first time, compiling if necessary, and returns the arrays that must agree.
      facts: returns further facts for the result.
    """

    run: typing.Callable[[], None]
    outcome: typing.Callable[[], dict[str, np.ndarray]]
    facts: typing.Callable[[], dict[str, typing.Any]] = dict


class Side(typing.Protocol):
    """The methods of a worker: the package's in ``jax_worker``, PyTorch's in ``peers.torch_worker``."""

    def describe(self) -> dict[str, typing.Any]:
        """Versions, device and number of threads."""
        ...

    def forms(self, kind: str, model: str) -> list[dict[str, str]]:
        """This side's forms of an ``inference`` or ``training`` step of a model, each with name and precision."""
        ...

    def prepare(self, kind: str, form: str, model: dict[str, typing.Any], arrays: pathlib.Path) -> Prepared:
        """Load weights and input, which are the same on both sides, without computing anything."""
        ...

    def device_peak(self) -> int | None:
        """Peak bytes in use on the device; None if it uses main memory."""
        ...


def handlers_of(side: Side) -> Handlers:
    """The handlers of a worker for a side."""
    prepared: dict[str, Prepared] = {}
    resident: dict[str, int] = {}

    def prepare(key: str, kind: str, form: str, model: dict[str, typing.Any], arrays: str) -> None:
        prepared[key] = side.prepare(kind, form, model, pathlib.Path(arrays))
        resident[key] = _resident("VmRSS")

    def warm_up(key: str, outcome: str) -> dict[str, typing.Any]:
        start = time.perf_counter()
        arrays = prepared[key].outcome()
        seconds = time.perf_counter() - start
        np.savez(outcome, **arrays)
        return {"seconds": seconds, "facts": prepared[key].facts()}

    def run(key: str, times: int) -> list[tuple[float, float]]:
        return [_seconds(prepared[key].run) for _ in range(times)]

    def peak(key: str) -> int | None:
        return _peak(prepared[key].run, resident[key], side.device_peak)

    calls = {"prepare": prepare, "warm_up": warm_up, "run": run, "peak": peak}
    return calls | {"describe": side.describe, "forms": side.forms}


def _seconds(run: typing.Callable[[], None]) -> tuple[float, float]:
    """Wall time and processor time of all threads, in seconds."""
    start, used = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - used


def _peak(run: typing.Callable[[], None], before: int, device_peak: typing.Callable[[], int | None]) -> int | None:
    """Peak bytes during a run, beyond those held after loading weights and input; None where it cannot be measured."""
    if not _CLEAR.exists():
        return device_peak()
    ctypes.CDLL(None).malloc_trim(0)  # first return the memory that earlier calls freed
    _CLEAR.write_text("5")  # reset the high-water mark
    run()
    on_device = device_peak()
    return _resident("VmHWM") - before if on_device is None else on_device


def _resident(field: str) -> int:
    """A field of the process's status in bytes; 0 outside Linux."""
    if not _STATUS.exists():
        return 0
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def serve(handlers: Handlers) -> None:
    """Answer requests until the input ends. The handlers' output goes to stderr."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    replies.write(READY)
    replies.flush()
    for line in sys.stdin:
        replies.write(json.dumps(_answer(handlers, json.loads(line))) + "\n")
        replies.flush()


def _answer(handlers: Handlers, request: dict[str, typing.Any]) -> dict[str, typing.Any]:
    try:
        return {"value": handlers[request["call"]](**request["with"])}
    except Exception as error:  # the parent must get every error
        first = next(iter(str(error).strip().splitlines()), "")
        return {"error": without_folders(f"{type(error).__name__}: {first}")[:300]}


def without_folders(text: str) -> str:
    """Remove folder names from a text. Results are published and must not reveal a machine's folders."""
    return re.sub(r"(?<![\w.])/(?:[^\s/'\"]+/)+", "", text)
