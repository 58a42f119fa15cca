"""Check that a program fits into memory before it runs: on a CPU, one that does not would kill the process."""

from __future__ import annotations

import contextlib
import contextvars
import pathlib
import typing

import jax

from blindsr_jax.errors import OutOfMemory

_BOUNDED: contextvars.ContextVar[bool] = contextvars.ContextVar("bounded", default=False)
_CONTAINER = pathlib.Path("/sys/fs/cgroup")
_SHARE = 0.8  # share of the free memory that a program may use; the rest is for its input and other processes


@contextlib.contextmanager
def bounded(on: bool = True) -> typing.Iterator[None]:
    """On a CPU, refuse programs that need more memory than is free in this block; accelerators do so themselves."""
    token = _BOUNDED.set(on and jax.default_backend() == "cpu")
    try:
        yield
    finally:
        _BOUNDED.reset(token)


def checked(function: typing.Callable[..., typing.Any], *arguments: typing.Any, **options: typing.Any) -> typing.Any:
    """Call a jitted function; within ``bounded``, check first that it fits into memory.

    Raises:
      OutOfMemory: the function's temporaries and result need more than four fifths of the free memory.
    """
    if _BOUNDED.get():
        free, needed = available(), _needed(function, arguments, options)
        if free is not None and needed > _SHARE * free:
            raise OutOfMemory(f"needs {needed / 2**30:.1f} GiB of memory where {free / 2**30:.1f} are free")
    return function(*arguments, **options)


def available(container: pathlib.Path = _CONTAINER) -> int | None:
    """Bytes of main memory that are available according to the system and the container; None if unknown.

    Args:
      container: the control group's folder, with the files ``memory.max`` and ``memory.current``.
    """
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
        with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
            limit, used = (int((container / f"memory.{name}").read_text()) for name in ("max", "current"))
            free = min(free, limit - used)
        return free
    return None


def _needed(function: typing.Any, arguments: tuple[typing.Any, ...], options: dict[str, typing.Any]) -> int:
    """Bytes that a program allocates according to the compiler; the call itself reuses this compilation."""
    compiled = function.lower(*arguments, **options).compile()
    sizes, results = compiled.memory_analysis(), jax.tree.leaves(compiled.output_shardings)
    devices = max(len(sharding.device_set) for sharding in results)  # the sizes are those of each
    return devices * (sizes.temp_size_in_bytes + sizes.output_size_in_bytes)
