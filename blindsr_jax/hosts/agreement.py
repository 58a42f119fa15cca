"""Shared results, joint failure, and detection of lost processes in multi-host runs."""

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
    """Whether this process writes the files and logs of the run."""
    return jax.process_index() == 0


def gathered(value: typing.Any) -> list[typing.Any]:
    """Gather a value from every process, in process order. Collective.

    Args:
      value: JSON-serializable; floats keep all their bits.

    Returns:
      The values of all processes, the same list in each process.
    """
    if jax.process_count() == 1:
        return [value]
    data = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(data.size))
    room = 1 << (int(sizes.max()) - 1).bit_length()  # a power of two, to compile few programs
    texts = multihost_utils.process_allgather(np.pad(data, (0, room - data.size)))
    return [json.loads(text[:size].tobytes()) for text, size in zip(texts, sizes.ravel())]


@contextlib.contextmanager
def all_or_none() -> typing.Iterator[None]:
    """Run a block in every process and fail in all of them if it fails in one. Collective.

    Raises:
      BlindSRError: the error of the block in this process, or else an error that names another process where it failed.
        Its attribute ``together`` is set: all processes raise, so none has to wait for the others.
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
    """Convert JAX's error about a process lost during a computation into a one-line message.

    Raises:
      HostLost: another process was lost.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error  # checkpoint writers wrap it in another error
        while cause is not None and not isinstance(cause, jax.errors.JaxRuntimeError):
            cause = cause.__cause__
        if cause is None or jax.process_count() == 1 or str(cause).startswith("RESOURCE_EXHAUSTED"):
            raise
        line = (str(cause).splitlines() or [type(cause).__name__])[0][:200]
        raise HostLost(
            f"process {jax.process_index()} of {jax.process_count()}: another process is gone ({line}). Run the "
            "same command on all hosts: it resumes from the newest complete checkpoint, or starts over without one"
        ) from error


def leave(code: int) -> int:
    """Exit at once if other processes run, since a normal exit would wait for them. Otherwise return ``code``."""
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
