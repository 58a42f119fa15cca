"""Whether a program fits into memory, asked before it runs: on a CPU one that does not brings the process down."""

from __future__ import annotations

import contextlib
import contextvars
import pathlib
import typing

import jax

from blindsr_jax.errors import OutOfMemory

_BOUNDED: contextvars.ContextVar[bool] = contextvars.ContextVar("bounded", default=False)
_CGROUP = pathlib.Path("/sys/fs/cgroup")
_SHARE = 0.8  # of what is free; the rest is for input, result and everybody else


@contextlib.contextmanager
def bounded(on: bool = True) -> typing.Iterator[None]:
    """In this block programs that need more memory than is free are refused on a CPU; accelerators do so themselves."""
    token = _BOUNDED.set(on and jax.default_backend() == "cpu")
    try:
        yield
    finally:
        _BOUNDED.reset(token)


def checked(function: typing.Callable[..., typing.Any], *arguments: typing.Any, **options: typing.Any) -> typing.Any:
    """Calls a jitted function, after a look at what it needs in ``bounded``.

    Raises:
      OutOfMemory: its temporaries and its result are more than four fifths of the free memory.
    """
    if _BOUNDED.get():
        free, needed = available(), _needed(function, arguments, options)
        if free is not None and needed > _SHARE * free:
            raise OutOfMemory(f"needs {needed / 2**30:.1f} GiB of memory where {free / 2**30:.1f} are free")
    return function(*arguments, **options)


def available() -> int | None:
    """Bytes of main memory that can still be had, by the system's and the container's account; None if unknown."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
        with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
            limit, used = (int((_CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
            free = min(free, limit - used)
        return free
    return None


def _needed(function: typing.Any, arguments: tuple[typing.Any, ...], options: dict[str, typing.Any]) -> int:
    """Bytes that a program sets aside, by the compiler's account; it is compiled once for this and for the call."""
    sizes = function.lower(*arguments, **options).compile().memory_analysis()
    return sizes.temp_size_in_bytes + sizes.output_size_in_bytes
