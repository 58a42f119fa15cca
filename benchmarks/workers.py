"""The parent's end of the benchmark processes: it starts them and sends them one call at a time.

    → {"call": "run", "with": {"key": "PyTorch, eager", "times": 1}}
    ← {"value": [[0.51, 0.98]]}        or  ← {"error": "RuntimeError: …"}

A process computes nothing while it waits for a call. So two processes, of two Pythons, can be timed in turn.
``serving`` is the other end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import tempfile
import typing

from benchmarks.serving import READY, without_folders

ROOT = pathlib.Path(__file__).parents[1]
OURS, PEER = "blindsr_jax", "PyTorch"
MODULES = {OURS: "benchmarks.jax_worker", PEER: "benchmarks.peers.torch_worker"}


class WorkerError(Exception):
    """A call failed or the process ended. The message is the worker's."""


class Worker:
    """A process that answers calls.

    Args:
      python: the interpreter.
      module: run with ``-m`` from the root of the project; it calls ``serve``.
      environment: set for the process besides what is inherited.

    Raises:
      WorkerError: the process cannot be started or ends before it is ready; the message has its last words.
    """

    def __init__(self, python: str, module: str, environment: dict[str, str] | None = None):
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._stderr}
        command, environment = [python, "-m", module], os.environ | (environment or {})
        try:
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)
        except OSError as error:
            self._stderr.close()
            raise WorkerError(f"{pathlib.Path(python).name} cannot be started: {error.strerror}") from None
        try:
            while self._read_line() != READY:  # libraries may print while they are imported
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
        self._stderr.close()

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
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr if line.strip()]
        return f"the process ended with {status}: {without_folders(lines[-1]) if lines else 'it said nothing'}"


@dataclasses.dataclass(frozen=True)
class Workers:
    """Starts a worker for each side of a comparison.

    Attributes:
      pythons: the interpreter of each side; a side without one does not take part.
      folder: temporary; compilers keep what they compiled below it, so that nothing was compiled before.
      modules: what each side runs.
    """

    pythons: dict[str, str]
    folder: pathlib.Path
    modules: dict[str, str] = dataclasses.field(default_factory=lambda: MODULES)

    def start(self, by: str, *, keep_compiled: bool = False, devices: int = 1) -> Worker:
        """A fresh worker.

        Args:
          by: the side.
          keep_compiled: let later ones find what JAX compiled in this one.
          devices: of JAX on a CPU.
        """
        environment = {
            "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.45",  # of an accelerator that both sides share
            "JAX_ENABLE_COMPILATION_CACHE": str(keep_compiled).lower(),
            "JAX_COMPILATION_CACHE_DIR": str(self.folder / "xla"),
            "JAX_NUM_CPU_DEVICES": str(devices),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "inductor"),
        }
        return Worker(self.pythons[by], self.modules[by], environment)

    @contextlib.contextmanager
    def all(self, **options: int) -> typing.Iterator[dict[str, Worker]]:
        """A worker of each side, ours first."""
        with contextlib.ExitStack() as stack:
            yield {by: stack.enter_context(self.start(by, **options)) for by in self.pythons}


def peer_that_works(python: str, folder: pathlib.Path) -> str:
    """Why the peers cannot run in this interpreter; empty if they can."""
    try:
        Workers({PEER: python}, folder).start(PEER).close()
    except WorkerError as error:
        return str(error)
    return ""
