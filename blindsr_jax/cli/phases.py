"""Where the time of a command goes: ``--timing``."""

from __future__ import annotations

import contextlib
import time
import typing

_STARTED = time.perf_counter()  # this module is imported when the command starts
_EVENTS = {
    "/jax/core/compile/jaxpr_trace_duration": "tracing",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "tracing",
    "/jax/core/compile/backend_compile_duration": "compiling",
}
_NAMES = ("starting", "reading", "tracing", "compiling", "computing", "writing")
Interval = tuple[float, float]


class Phases:
    """Measures the phases of a command. Tracing and compiling are told by JAX, and taken off the phase around them.

    ``compiling`` includes reading a program that was kept from an earlier command.
    """

    def __init__(self) -> None:
        self._intervals: dict[str, list[Interval]] = {name: [] for name in _NAMES}
        self._programs, self._kept = 0, 0
        self._intervals["starting"].append((_STARTED, time.perf_counter()))

    @contextlib.contextmanager
    def listening(self) -> typing.Iterator[None]:
        """Let JAX tell of tracing and compiling in this block; else nothing is known of them."""
        import jax

        jax.monitoring.register_event_duration_secs_listener(self._heard)
        try:
            yield
        finally:
            jax.monitoring.unregister_event_duration_listener(self._heard)

    def _heard(self, event: str, duration_secs: float, **_: str | int) -> None:
        now = time.perf_counter()
        if event in _EVENTS:
            self._intervals[_EVENTS[event]].append((now - duration_secs, now))
        self._programs += event.endswith("backend_compile_duration")
        self._kept += event.endswith("cache_retrieval_time_sec")

    @contextlib.contextmanager
    def phase(self, name: str) -> typing.Iterator[None]:
        """Count the time inside this block as one of ``reading``, ``computing``, ``writing``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._intervals[name].append((start, time.perf_counter()))

    def each(self, items: typing.Iterable[typing.Any], name: str) -> typing.Iterator[typing.Any]:
        """Yield the items; count the time until each of them as a phase."""
        iterator = iter(items)
        while True:
            with self.phase(name):
                item = next(iterator, self)
            if item is self:
                return
            yield item

    def told(self) -> str:
        """A line with the seconds of every phase and the programs that were compiled or kept."""
        jax_time = self._intervals["tracing"] + self._intervals["compiling"]
        seconds = {}
        for name in _NAMES:
            own = self._intervals[name]
            inside = [] if name in _EVENTS.values() else jax_time
            seconds[name] = _length(own + inside) - _length(inside)
        parts = ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
        programs = f"programs: {self._programs}, kept from before: {self._kept}"
        return f"timing: {time.perf_counter() - _STARTED:.2f} s: {parts} ({programs})"


def _length(intervals: list[Interval]) -> float:
    """The time that intervals cover together."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(intervals):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total
