"""Ctrl-C and SIGTERM as a request, not an accident: the loop finishes its step, saves and leaves.

Of several hosts a scheduler may signal one, and all must save the same step. Each puts what it received into the batch
of its next step, and the sum comes back with that step's gradients and metrics, which all processes read one step
later: so they know at the same step, for no message more. (JAX's own ``reached_preemption_sync_point`` needs a barrier
in the background for it, agrees on a step to come, knows SIGTERM only, and takes the signal away from this module.)
"""

from __future__ import annotations

import signal
import sys
import typing

import jax
import numpy as np
from jax.sharding import Mesh

from blindsr_jax.errors import Interrupted, Preempted
from blindsr_jax.training.sharding import put_batch

SIGNALS = ("SIGINT", "SIGTERM")


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
        for name in SIGNALS:
            number = signal.Signals[name]
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


def put_request(mesh: Mesh, received: str | None) -> jax.Array | None:
    """What this process was asked, for the next step: [devices, signals], 1 for each signal; None if it is alone."""
    if jax.process_count() == 1:
        return None
    asked = np.array([[name == received for name in SIGNALS]], np.float32)
    return put_batch(mesh, asked.repeat(jax.local_device_count(), 0))


def request_of_all(received: str | None, answer: np.ndarray | None) -> str | None:
    """The signal that all processes act on at this step, if any.

    Args:
      received: by this process; what counts if it is alone.
      answer: the mean of all requests, [signals], from the metrics of the step before; None for the first one.
    """
    if jax.process_count() == 1:
        return received
    names = [name for name, share in zip(SIGNALS, () if answer is None else answer) if share > 0]
    return names[-1] if names else None


def saved_error(signal_name: str, step: int) -> Interrupted:
    """The error to leave with when a step was saved because of a signal."""
    kind = Preempted if signal_name == "SIGTERM" else Interrupted
    return kind(f"{signal_name}: saved step {step}; run the same command to go on from there")
