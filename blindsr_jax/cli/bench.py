"""``blindsr bench``: time a model on this machine."""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib
import sys
import typing

from blindsr_jax.cli.arguments import Commands, add_command, add_model, open_model, positive
from blindsr_jax.errors import BlindSRError

if typing.TYPE_CHECKING:
    from blindsr_jax.cli.timing import Timing

_TEXT = "Time a model on this machine, with random pictures: the first call, which compiles, and later ones."
_HEAD = ("LR size", "first call s", "later s", "megapixels a second", "temporaries, bytes a pixel")


def add(commands: Commands) -> None:
    """Add the subcommand and its options."""
    command = add_command(commands, "bench", run, _TEXT)
    add_model(command)
    sizes = "sides of the square LR pictures; default: 64 128 256"
    command.add_argument("--sizes", nargs="+", type=positive, default=[64, 128, 256], metavar="N", help=sizes)
    command.add_argument("--repeats", type=positive, default=5, help="calls after the first; default: 5")
    command.add_argument("-o", "--output", type=pathlib.Path, help="also write the figures there (.json)")


def run(arguments: argparse.Namespace) -> int:
    """``blindsr bench``: print a table of times and optionally write a file; a size that fails does not stop others."""
    from tqdm import tqdm

    from blindsr_jax.cli.timing import time_model
    from blindsr_jax.files import write_text

    model, timings = open_model(arguments), []
    timed = functools.partial(time_model, iterations=arguments.iterations, self_ensemble=arguments.self_ensemble)
    sizes = list(dict.fromkeys(arguments.sizes))
    with tqdm(desc="timing", total=len(sizes) * (arguments.repeats + 1), unit="call") as bar:
        for side in sizes:
            try:
                timings.append(timed(model, side, arguments.repeats, advance=bar.update))
            except BlindSRError as error:
                tqdm.write(f"blindsr: {side}x{side}: {error}", file=sys.stderr)
    result = {"model": _described(arguments, model), "machine": _machine(), "sizes": [_figures(t) for t in timings]}
    if timings:
        print(_table(timings))
    if arguments.output:
        write_text(arguments.output, json.dumps(result, indent=1) + "\n")
    return 0 if len(timings) == len(sizes) else 1


def _described(arguments: argparse.Namespace, model: typing.Any) -> dict[str, typing.Any]:
    from blindsr_jax.inference.loading import name_in_reports

    asked = {name: getattr(arguments, name) for name in ("iterations", "sigma", "kernel_window", "self_ensemble")}
    return {
        "name": name_in_reports(arguments.model),
        "is": repr(model),
        "scale": model.scale,
        "parameters": model.parameters,
        "precision": arguments.precision,
        **{name: value for name, value in asked.items() if value},
    }


def _machine() -> dict[str, typing.Any]:
    import platform

    import jax

    from blindsr_jax.evaluation.machine import machine

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {"python": platform.python_version(), "jax": jax.__version__}
    return {**machine(), "cores": cores, **versions}


def _figures(timing: Timing) -> dict[str, typing.Any]:
    return {
        "side": timing.side,
        "first_call_seconds": timing.first_seconds,
        "median_seconds": timing.median,
        "seconds": list(timing.seconds),
        "megapixels_per_second": timing.megapixels_per_second,
        "temporaries_bytes": timing.temporaries,
        "temporaries_bytes_per_pixel": timing.bytes_per_pixel,
    }


def _table(timings: list[Timing]) -> str:
    rows = [
        (
            f"{t.side}x{t.side}",
            *(f"{value:.3g}" for value in (t.first_seconds, t.median, t.megapixels_per_second)),
            "as above" if t.bytes_per_pixel is None else f"{t.bytes_per_pixel:.0f}",
        )
        for t in timings
    ]
    widths = [max(len(row[i]) for row in (_HEAD, *rows)) for i in range(len(_HEAD))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in (_HEAD, *rows))
