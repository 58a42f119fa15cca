"""The worker of each side, started for one comparison and ended after it."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import typing

from benchmarks.contest import OURS
from benchmarks.worker import Worker, WorkerError

PEER = "PyTorch"
MODULES = {OURS: "benchmarks.ours", PEER: "benchmarks.peers.side"}


@dataclasses.dataclass(frozen=True)
class Sides:
    """How workers are started.

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
        Sides({PEER: python}, folder).start(PEER).close()
    except WorkerError as error:
        return str(error)
    return ""
