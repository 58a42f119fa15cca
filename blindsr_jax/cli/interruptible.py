"""End a command at once on Ctrl-C or SIGTERM, also while a compiled program computes, which nothing can interrupt."""

from __future__ import annotations

import os
import signal
import sys
import threading
import typing

from blindsr_jax.files import remove_temporaries

_LOOKS = 0.2  # seconds between two looks at the thread


class _Terminated(BaseException):
    pass


def run_interruptibly(work: typing.Callable[[], int]) -> int:
    """Run a command in a thread of its own and return its exit code; errors that it raises are raised here.

    On Ctrl-C or SIGTERM the process ends with code 130 or 143 without waiting for the thread. Files that are being
    written are removed first.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    ended: list[int] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            ended.append(work())
        except BaseException as error:  # raised again below
            failed.append(error)

    thread = threading.Thread(target=run, name="command", daemon=True)
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        thread.start()
        while thread.is_alive():
            thread.join(_LOOKS)
    except KeyboardInterrupt:
        _leave(130, "interrupted; what is finished is complete, the same command goes on")
    except _Terminated:
        _leave(143, "ended by SIGTERM; what is finished is complete, the same command goes on")
    finally:
        signal.signal(signal.SIGTERM, before)
    if failed:
        raise failed[0]
    return ended[0]


def _terminate(*_: object) -> typing.NoReturn:
    raise _Terminated


def _leave(code: int, message: str) -> typing.NoReturn:
    remove_temporaries()
    print(f"\nblindsr: {message}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)
