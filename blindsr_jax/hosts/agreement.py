"""What the processes of a run do together: share results, fail as one, and notice that one is gone."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import typing

import jax
import numpy as np
from jax.experimental import multihost_utils

from blindsr_jax.errors import BlindSRError, HostLost


def is_first() -> bool:
    """Whether this process is the one that writes files and logs for all."""
    return jax.process_index() == 0


def gathered(value: typing.Any) -> list[typing.Any]:
    """The value of each process, in their order, in all of them; together.

    Args:
      value: JSON-ready; floats come back bit for bit.
    """
    if jax.process_count() == 1:
        return [value]
    data = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(data.size))
    room = 1 << (int(sizes.max()) - 1).bit_length()  # powers of two, so that few programs are compiled
    texts = multihost_utils.process_allgather(np.pad(data, (0, room - data.size)))
    return [json.loads(text[:size].tobytes()) for text, size in zip(texts, sizes.ravel())]


@contextlib.contextmanager
def all_or_none() -> typing.Iterator[None]:
    """A block that each process does for itself and that counts as done only when all have done it; together.

    Raises:
      BlindSRError: what the block raised in this process; or, where it raised nothing, that it failed in another one.
        The attribute ``together`` is set: all processes leave, none has to wait for others.
    """
    failure = None
    try:
        yield
    except BlindSRError as error:
        failure = error
    failed = [number for number, fails in enumerate(gathered(failure is not None)) if fails]
    if failed:
        failure = failure or BlindSRError(f"process {failed[0]} of {jax.process_count()} failed: its message says why")
        failure.together = True
        raise failure


@contextlib.contextmanager
def noticing_losses() -> typing.Iterator[None]:
    """Turns what JAX says when another process vanished in the middle of a computation into one line.

    Raises:
      HostLost: that happened.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error  # a checkpoint's writer has it as the cause of an error of its own
        while cause is not None and not isinstance(cause, jax.errors.JaxRuntimeError):
            cause = cause.__cause__
        if cause is None or jax.process_count() == 1 or str(cause).startswith("RESOURCE_EXHAUSTED"):
            raise
        line = (str(cause).splitlines() or [type(cause).__name__])[0][:200]
        raise HostLost(
            f"process {jax.process_index()} of {jax.process_count()}: another process is gone ({line}). Run the "
            "same command on all hosts: it goes on from the newest complete checkpoint, or from the start without one"
        ) from error


def leave(code: int) -> int:
    """Ends a process that fails alone, at once: an orderly end would wait for the others. Alone, returns the code."""
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
