"""Stop a visitor's run at once, even while one of its programs computes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import typing

RUN = "blindsr-run"  # how the names of threads that compute begin
_LOOKS = 0.1  # seconds between two checks of the stop event

T = typing.TypeVar("T")


class Runs:
    """The runs of a page, one for each visitor."""

    def __init__(self):
        self._stops: dict[str, threading.Event] = {}

    @contextlib.contextmanager
    def running(self, visitor: str) -> typing.Iterator[threading.Event]:
        """Register a visitor's run for this block; returns the event that stops it."""
        stop = self._stops[visitor] = threading.Event()
        try:
            yield stop
        finally:
            if self._stops.get(visitor) is stop:
                del self._stops[visitor]

    def stop_all(self) -> None:
        """Stop the runs of all visitors."""
        for stop in list(self._stops.values()):
            stop.set()

    def stop(self, visitor: str) -> None:
        """Stop a visitor's run, if there is one."""
        if stop := self._stops.get(visitor):
            stop.set()


def until(stop: threading.Event, stages: typing.Generator[T, None, None]) -> typing.Generator[T, None, None]:
    """Yield the stages of a run until an event is set; then end at once.

    A program cannot be interrupted, so the current stage runs to its end in the background and its result is dropped.

    Args:
      stop: the event.
      stages: generator of the run's stages. A separate thread computes them, and closes the generator at the end.
    """
    end: typing.Any = object()
    thread = concurrent.futures.ThreadPoolExecutor(1, RUN)
    try:
        while not stop.is_set():
            coming = thread.submit(next, stages, end)
            while not coming.done() and not stop.is_set():
                concurrent.futures.wait([coming], _LOOKS)
            if stop.is_set() or (stage := coming.result()) is end:
                return
            yield stage
    finally:
        thread.submit(stages.close)
        thread.shutdown(wait=False)
