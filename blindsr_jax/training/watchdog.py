"""Diagnosis of hanging runs: prints the stacks of all threads when no step finishes in time. Stops nothing."""

from __future__ import annotations

import contextlib
import faulthandler
import sys
import threading
import typing


class Watchdog:
    """Print all stacks when a step takes too long. The first step is not timed because it includes compilation.

    Use it as a context manager. The standard library's ``faulthandler`` prints the stacks, from a thread that needs
    neither Python's lock nor memory.

    Args:
      seconds: longest time for a step; 0 disables the watchdog.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._timer: threading.Timer | None = None
        self._step = 0

    def __enter__(self) -> Watchdog:
        return self

    def __exit__(self, *exc: object) -> None:
        self._disarm()

    def finished(self, step: int) -> None:
        """Record that a step has finished, and start timing the next one."""
        self._step = step
        self._arm()

    @contextlib.contextmanager
    def resting(self) -> typing.Iterator[None]:
        """Suspend the watchdog during work other than training steps."""
        self._disarm()
        yield
        if self._step:
            self._arm()

    def _arm(self) -> None:
        self._disarm()
        if not self._seconds:
            return
        self._timer = threading.Timer(self._seconds, self._tell, [self._step])
        self._timer.daemon = True
        self._timer.start()
        stderr: typing.Any = sys.__stderr__  # None stands for sys.stderr, which the type of the argument leaves out
        faulthandler.dump_traceback_later(self._seconds + 0.5, repeat=True, file=stderr)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            faulthandler.cancel_dump_traceback_later()
            self._timer = None

    def _tell(self, step: int) -> None:
        print(
            f"\nstep {step + 1}: not finished {self._seconds:g} seconds after step {step}. All threads' stacks follow. "
            "Look at the main thread: in device_get it waits for the devices or for another host, in next(batches) for "
            "the images; --config.watchdog_seconds=N waits longer",
            file=sys.__stderr__,
            flush=True,
        )
