"""Ctrl-C and SIGTERM as a request, not an accident: the loop finishes its step, saves and leaves."""

from __future__ import annotations

import signal
import sys
import typing


class StopRequest:
    """While active, the first SIGINT or SIGTERM sets ``received``; a second one interrupts at once.

    Use as a context manager, in the main thread.

    Attributes:
      received: name of the signal, or None.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._previous: dict[int, typing.Any] = {}

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: object) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name
        print(f"\n{self.received}: finishing this step, then saving; once more to stop at once", file=sys.stderr)
