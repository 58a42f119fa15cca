"""Compiled programs are kept from one ``blindsr`` command to the next."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys

_MOST_BYTES = 512 * 2**20


def keep_compiled_programs() -> None:
    """Lets JAX keep what it compiles in the user's cache folder, at most half a gigabyte, oldest out first.

    Only its owner may write there, since whoever can writes programs that will be run. JAX's own variables go before:
    ``JAX_COMPILATION_CACHE_DIR`` names another folder, ``JAX_ENABLE_COMPILATION_CACHE=false`` turns it off. Without a
    folder that can be written, or where JAX was imported before and is set up already, nothing happens.
    """
    if "jax" in sys.modules or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: there is no home
        base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        folder = pathlib.Path(base, "blindsr_jax", "programs")
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        if os.access(folder, os.W_OK):
            os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
            os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(_MOST_BYTES))
            os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
