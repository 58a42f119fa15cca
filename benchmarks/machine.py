"""What every benchmark needs: fair timing, and the machine in words."""

from __future__ import annotations

import os
import pathlib
import platform
import statistics
import time
import typing

import jax


def median_seconds(functions: dict[str, typing.Callable[[], typing.Any]], repeats: int) -> dict[str, float]:
    """Median wall time of each function, run in turn so that all see the same machine; call each once before."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            jax.block_until_ready(function())
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def describe_machine() -> dict[str, str]:
    """Device, processor and versions."""
    return {
        "device": f"{jax.devices()[0].device_kind}, {jax.device_count()} device(s)",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


def _processor() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
