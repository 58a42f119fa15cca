"""Timing of JAX programs in turn, and a description of the machine and its versions."""

from __future__ import annotations

import os
import pathlib
import platform
import statistics
import time
import typing

import jax

Seconds = dict[str, list[float]]


def seconds_in_turn(
    functions: dict[str, typing.Callable[[], typing.Any]],
    repeats: int,
    clock: typing.Callable[[], float] = time.perf_counter,
) -> Seconds:
    """Seconds of each call. The functions run in turn, so that other load hits all of them. Call each once before."""
    times: Seconds = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = clock()
            jax.block_until_ready(function())
            times[name].append(clock() - start)
    return times


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, minimum, quartiles and number of the times."""
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else seconds * 3
    return {"median_s": middle, "min_s": min(seconds), "q1_s": low, "q3_s": high, "calls": len(seconds)}


def undisturbed_clock() -> typing.Callable[[], float]:
    """The clock to time with: processor time if the process has a single CPU core, otherwise the wall clock.

    Other work on the machine does not lengthen processor time.
    """
    return time.process_time if jax.default_backend() == "cpu" and cores() == 1 else time.perf_counter


def describe_host() -> dict[str, typing.Any]:
    """Processor, usable cores, memory, and load. Starts no JAX backend."""
    return {
        "processor": processor(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": load_average(),
    }


def describe_jax() -> dict[str, typing.Any]:
    """Versions, JAX's device, and the number of usable cores."""
    versions = {"python": platform.python_version(), "jax": jax.__version__}
    return versions | {"device": jax.devices()[0].device_kind, "threads": cores()}


def load_average() -> list[float]:
    """Mean number of runnable processes over the last 1, 5 and 15 minutes; near 0 on an idle machine."""
    return [round(value, 2) for value in os.getloadavg()]


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
