"""Stopping a visitor's run at once, also while one of its programs computes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import typing

_LOOKS = 0.1  # seconds between two looks at whether a run is to stop

T = typing.TypeVar("T")


class Runs:
    """The runs of a page, one of each visitor."""

    def __init__(self):
        self._stops: dict[str, threading.Event] = {}

    @contextlib.contextmanager
    def running(self, visitor: str) -> typing.Iterator[threading.Event]:
        """While a visitor's run lasts: the event that tells it to stop."""
        stop = self._stops[visitor] = threading.Event()
        try:
            yield stop
        finally:
            if self._stops.get(visitor) is stop:
                del self._stops[visitor]

    def stop(self, visitor: str) -> None:
        """Tells a visitor's run to stop; nothing if none is under way."""
        if stop := self._stops.get(visitor):
            stop.set()


def until(stop: threading.Event, stages: typing.Generator[T, None, None]) -> typing.Iterator[T]:
    """The stages of a run until an event is set, which ends them at once.

    The stage that is computed then goes on by itself, and its result is forgotten: a program cannot be interrupted.

    Args:
      stop: the event.
      stages: of the run; they are computed by a thread of their own, and closed when this ends.
    """
    end = object()
    thread = concurrent.futures.ThreadPoolExecutor(1, "run")
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
