"""A process that is kept alive and told what to do, one JSON line at a time.

    → {"call": "run", "with": {"key": "PyTorch eager", "times": 1}}
    ← {"value": [[0.51, 0.98]]}        or  ← {"error": "RuntimeError: …"}

A process that waits for its next line computes nothing, so that two of them, of two Pythons, can be timed in turn.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import typing

ROOT = pathlib.Path(__file__).parents[1]
_READY = "ready\n"
Handlers = dict[str, typing.Callable[..., typing.Any]]


class WorkerError(Exception):
    """What a worker was asked for did not work; the message is the worker's."""


class Worker:
    """The parent's end.

    Args:
      python: the interpreter.
      module: run with ``-m`` from the root of the project; it calls ``serve``.
      environment: set for the process besides what is inherited.

    Raises:
      WorkerError: the process cannot be started or ends before it is ready; the message has its last words.
    """

    def __init__(self, python: str, module: str, environment: dict[str, str] | None = None):
        self._complaints = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._complaints}
        command, environment = [python, "-m", module], os.environ | (environment or {})
        try:
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)
        except OSError as error:
            self._complaints.close()
            raise WorkerError(f"{pathlib.Path(python).name} cannot be started: {error.strerror}") from None
        try:
            while self._read_line() != _READY:  # libraries may print while they are imported
                pass
        except WorkerError:
            self.close()
            raise

    def call(self, name: str, **arguments: typing.Any) -> typing.Any:
        """What the handler of this name returns. Raises WorkerError if it failed or the process ended."""
        try:
            self._process.stdin.write(json.dumps({"call": name, "with": arguments}) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerError(self._last_words()) from None
        return self._receive()

    def close(self) -> None:
        """Ends the process, by the end of its input."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._complaints.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self) -> typing.Any:
        reply = json.loads(self._read_line())
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply["value"]

    def _read_line(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(self._last_words())
        return line

    def _last_words(self) -> str:
        status = self._process.wait()
        self._complaints.seek(0)
        lines = [line.strip() for line in self._complaints if line.strip()]
        return f"the process ended with {status}: {_without_folders(lines[-1]) if lines else 'it said nothing'}"


def serve(handlers: Handlers) -> None:
    """The worker's end: answers until the input ends. What handlers print goes to stderr."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    replies.write(_READY)
    replies.flush()
    for line in sys.stdin:
        replies.write(json.dumps(_answer(handlers, json.loads(line))) + "\n")
        replies.flush()


def _answer(handlers: Handlers, request: dict[str, typing.Any]) -> dict[str, typing.Any]:
    try:
        return {"value": handlers[request["call"]](**request["with"])}
    except Exception as error:  # whatever it is, the parent must hear of it
        first = next(iter(str(error).strip().splitlines()), "")
        return {"error": _without_folders(f"{type(error).__name__}: {first}")[:300]}


def _without_folders(text: str) -> str:
    """Results are published: they shall not tell the folders of a machine."""
    return re.sub(r"(?<![\w.])/(?:[^\s/'\"]+/)+", "", text)
