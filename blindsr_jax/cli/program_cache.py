"""Keep compiled programs from one ``blindsr`` command to the next."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys

import filelock

_LOCK, _PROGRAM, _TIME = ".lockfile", "-cache", "-atime"  # JAX's names in the folder
_MOST_BYTES = 512 * 2**20


def keep_compiled_programs() -> None:
    """Let JAX cache compiled programs in the user's cache folder, at most half a gigabyte; the oldest go first.

    The folder is private to its owner, because anyone who can write to it could plant programs that will run. JAX's own
    variables take precedence: ``JAX_COMPILATION_CACHE_DIR`` names another folder, and
    ``JAX_ENABLE_COMPILATION_CACHE=false`` disables the cache. If the folder is not writable, or JAX has already been
    imported and configured, nothing happens.
    """
    if "jax" in sys.modules or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: there is no home folder
        base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        folder = pathlib.Path(base, "blindsr_jax", "programs")
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        if os.access(folder, os.W_OK):
            _remove_half_written(folder)
            os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
            os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(_MOST_BYTES))
            os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


def _remove_half_written(folder: pathlib.Path) -> None:
    """Remove programs that a killed process did not finish writing.

    JAX would warn of such a program in every later command, and compile it again each time. It writes the file with the
    time of last use after the program, and holds the lock meanwhile.
    """
    with contextlib.suppress(filelock.Timeout), filelock.FileLock(folder / _LOCK, timeout=0):
        for program in folder.glob(f"*{_PROGRAM}"):
            if not program.with_name(program.name.removesuffix(_PROGRAM) + _TIME).exists():
                program.unlink()
