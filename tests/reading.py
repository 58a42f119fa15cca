"""Read files one by one in a process of their own, and measure the longest answer and the memory."""

from __future__ import annotations

import collections
import contextlib
import faulthandler
import pathlib
import resource
import time
import typing

from blindsr_jax.errors import BlindSRError

PATIENCE = 30  # seconds after which a file ends the process


def read_each(
    files: typing.Iterable[tuple[str, str, typing.Any]], read: typing.Callable[[str, typing.Any], None]
) -> dict[str, typing.Any]:
    """Read each file. Anything but success or a BlindSRError ends the process.

    Args:
      files: kind, name and content of each.
      read: reads and checks a file; takes its name and content.

    Returns:
      How many files of each kind were whole or refused; the longest answer in seconds of the processor, which do not
      depend on other processes, and its file; and the greatest peak memory above that at the start, and its file.
    """
    base, slowest, largest, counts = _peak_mib(), (0.0, ""), (0, ""), collections.Counter[str]()
    for kind, name, content in files:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        _forget_peak()
        start = time.process_time()
        try:
            read(name, content)
        except BlindSRError as error:
            assert str(error).startswith(f"{name}: "), error
            assert str(error).isprintable(), error
            assert len(str(error)) < 1000, error
            counts[f"{kind} refused"] += 1
        else:
            counts[f"{kind} whole"] += 1
        slowest = max(slowest, (round(time.process_time() - start, 3), f"{name}, {kind}"))
        largest = max(largest, (_peak_mib() - base, f"{name}, {kind}"))
    faulthandler.cancel_dump_traceback_later()
    return {"counts": counts, "slowest": slowest, "base_mib": base, "above_mib": largest}


def _forget_peak() -> None:
    """Set the peak memory to the present memory, where Linux can do so."""
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> int:
    """Peak memory of this process. On Linux getrusage would include the memory of the parent before exec."""
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return int(status.read_text().split("VmHWM:")[1].split()[0]) // 1024
