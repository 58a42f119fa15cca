"""The parent's end of the benchmark processes: it starts workers and sends each one call at a time.

    → {"call": "run", "with": {"key": "PyTorch, eager", "times": 1}}
    ← {"value": [[0.51, 0.98]]}        or  ← {"error": "RuntimeError: …"}

A worker computes nothing while it waits for a call, so workers of two Python interpreters can be timed in turn. The
other end is ``serving``.
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
    """A call failed or the worker's process ended. The message is the worker's."""


class Worker:
    """A process that answers calls.

    Args:
      python: the interpreter.
      module: the module to run with ``-m`` from the root of the project; it calls ``serve``.
      environment: environment variables to add to the inherited ones.

    Raises:
      WorkerError: the process cannot be started or ends before it is ready; the message gives its last output.
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
        """Call a handler by name and return its value. Raises WorkerError if it fails or the process ends."""
        try:
            self._process.stdin.write(json.dumps({"call": name, "with": arguments}) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerError(self._last_words()) from None
        return self._receive()

    def close(self) -> None:
        """End the process by closing its input."""
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
    """Starts workers for the sides of a comparison.

    Attributes:
      pythons: the interpreter of each side that takes part.
      folder: a temporary folder with the compilation caches, which are therefore empty at the start.
      modules: the module that each side runs.
    """

    pythons: dict[str, str]
    folder: pathlib.Path
    modules: dict[str, str] = dataclasses.field(default_factory=lambda: MODULES)

    def start(self, by: str, *, keep_compiled: bool = False, devices: int = 1) -> Worker:
        """Start a worker.

        Args:
          by: the side.
          keep_compiled: whether JAX reads and writes the compilation cache in ``folder``.
          devices: number of JAX devices on a CPU.
        """
        environment = {
            "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.45",  # both sides share one accelerator
            "JAX_ENABLE_COMPILATION_CACHE": str(keep_compiled).lower(),
            "JAX_COMPILATION_CACHE_DIR": str(self.folder / "xla"),
            "JAX_NUM_CPU_DEVICES": str(devices),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "inductor"),
        }
        return Worker(self.pythons[by], self.modules[by], environment)

    @contextlib.contextmanager
    def all(self, **options: int) -> typing.Iterator[dict[str, Worker]]:
        """Start a worker of each side, ours first, and close them at the end of the block."""
        with contextlib.ExitStack() as stack:
            yield {by: stack.enter_context(self.start(by, **options)) for by in self.pythons}


def peer_that_works(python: str, folder: pathlib.Path) -> str:
    """The reason why the peers cannot run in this interpreter; empty if they can."""
    try:
        Workers({PEER: python}, folder).start(PEER).close()
    except WorkerError as error:
        return str(error)
    return ""
