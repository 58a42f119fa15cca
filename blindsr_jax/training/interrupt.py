"""Graceful stop on Ctrl-C and SIGTERM: the loop finishes its step, saves and exits.

A scheduler may signal only one of several hosts, yet all must save the same step. Each process adds the signal it
received to the batch of its next step. The mean over all processes returns with that step's gradients and metrics,
which every process reads one step later. All of them therefore learn of it at the same step, without an extra message.
(JAX's ``reached_preemption_sync_point`` needs a barrier in the background, agrees on a later step, handles only
SIGTERM, and takes that signal away from this module.)
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
    """Record the first SIGINT or SIGTERM in ``received``. A second one raises KeyboardInterrupt.

    Use it as a context manager in the main thread.

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
    """This process's request for the next step: [devices, signals], 1 for the signal received; None if it is alone."""
    if jax.process_count() == 1:
        return None
    asked = np.array([[name == received for name in SIGNALS]], np.float32)
    return put_batch(mesh, asked.repeat(jax.local_device_count(), 0))


def request_of_all(received: str | None, answer: np.ndarray | None) -> str | None:
    """The signal that all processes act on at this step, if any.

    Args:
      received: the signal that this process received; decides if the process is alone.
      answer: mean of all requests, [signals], from the metrics of the previous step; None at the first step.
    """
    if jax.process_count() == 1:
        return received
    names = [name for name, share in zip(SIGNALS, () if answer is None else answer) if share > 0]
    return names[-1] if names else None


def saved_error(signal_name: str, step: int) -> Interrupted:
    """The error to raise after a step was saved because of a signal."""
    kind = Preempted if signal_name == "SIGTERM" else Interrupted
    return kind(f"{signal_name}: saved step {step}; run the same command to go on from there")
