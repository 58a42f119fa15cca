"""The machine in words, without JAX or PyTorch."""

from __future__ import annotations

import os
import pathlib
import platform
import typing


def describe_host() -> dict[str, typing.Any]:
    """Processor, cores that may be used, memory, and how busy the machine was in the last minutes."""
    return {
        "processor": processor(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": load_average(),
    }


def load_average() -> list[float]:
    """Processes that wanted to run, over the last 1, 5 and 15 minutes; a quiet machine is near 0."""
    return [round(value, 2) for value in os.getloadavg()]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
