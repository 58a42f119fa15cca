"""What every benchmark needs: options, fair timing, the machine in words, and a file for the result."""

from __future__ import annotations

import argparse
import json
import pathlib
import platform
import statistics
import time
import typing

import jax

from benchmarks.host import cores, processor


def options(description: str, repeats: int) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--output", type=pathlib.Path, help="also keep the result in this file")
    return parser


def report(result: dict[str, typing.Any], output: pathlib.Path | None) -> None:
    """Prints a result with the machine that it is of, and keeps it if a file is given."""
    text = json.dumps(describe_machine() | result, indent=1)
    print(text)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text + "\n")


def median_seconds(functions: dict[str, typing.Callable[[], typing.Any]], repeats: int) -> dict[str, float]:
    """Median wall time of each function; see ``seconds_in_turn``."""
    return {name: statistics.median(seconds) for name, seconds in seconds_in_turn(functions, repeats).items()}


def seconds_in_turn(
    functions: dict[str, typing.Callable[[], typing.Any]],
    repeats: int,
    clock: typing.Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Wall times of each function, run in turn so that all see the same machine; call each once before."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = clock()
            jax.block_until_ready(function())
            times[name].append(clock() - start)
    return times


def undisturbed_clock() -> typing.Callable[[], float]:
    """Processor time where one core does all the work, which other processes on it do not lengthen; else the wall."""
    return time.process_time if jax.default_backend() == "cpu" and cores() == 1 else time.perf_counter


def describe_machine() -> dict[str, str]:
    """Device, processor and versions."""
    return {
        "device": f"{jax.devices()[0].device_kind}, {jax.device_count()} device(s)",
        "processor": f"{processor()}, {cores()} cores",
        "python": platform.python_version(),
        "jax": jax.__version__,
    }
