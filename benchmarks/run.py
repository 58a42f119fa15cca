"""Speed and memory of this package beside the PyTorch originals, in one session on this machine.

  python -m benchmarks.run --suite inference --model danv1 --sizes 64 128
  python -m benchmarks.run --suite training --peer-python VENV_WITH_TORCH/bin/python

Both sides get the same weights and input, must give the same result, and run in turn, never at the same time. Where
PyTorch is missing, ours runs alone.
"""

from __future__ import annotations

import argparse
import datetime
import pathlib
import sys
import tempfile
import typing

from benchmarks.contest import OURS
from benchmarks.host import describe_host, load_average
from benchmarks.report import write
from benchmarks.sides import PEER, Sides, peer_that_works
from benchmarks.suites import NAMES, suite
from benchmarks.worker import WorkerError
from blindsr_jax.errors import BlindSRError

COMPARED = ("inference", "training", "compile")  # the others measure ours alone


def main(argv: list[str] | None = None) -> int:
    """Runs a suite and returns the exit code: 0 measured, 1 failed or refused, 2 wrong usage."""
    options = parser().parse_args(argv)
    try:
        result = measure(options)
        path = options.output or pathlib.Path("runs/benchmarks") / f"{options.suite}_{options.model}.json"
        print(write(result, path), end="")
    except (BlindSRError, WorkerError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """All options; those of a suite that are left out have its ``DEFAULTS``."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--suite", choices=NAMES, required=True)
    command.add_argument("--model", choices=("danv1", "danv2", "dssr"), help="danv1; memory: of all networks")
    command.add_argument("--scale", type=int, default=4, choices=(2, 3, 4))
    command.add_argument("--network", type=_size, nargs="*", default=[], metavar="NAME=N", help="not the paper's size")
    command.add_argument("--sizes", type=_count, nargs="+", help="side of the images; see the suite")
    command.add_argument("--batch", type=_count, nargs="+", help="one for all sizes, or one each")
    command.add_argument("--repeats", type=_count, help="rounds, in each of which everything runs")
    command.add_argument("--devices", type=_count, nargs="+", help="scaling: to compile for, each in its own process")
    command.add_argument("--forms", nargs="*", help="of the peers, by name; none for ours alone; all unless given")
    command.add_argument("--peer-python", default=sys.executable, help="an interpreter that has PyTorch and NumPy")
    command.add_argument("--output", type=pathlib.Path, help="a .json; runs/benchmarks/SUITE_MODEL.json unless given")
    return command


def measure(options: argparse.Namespace) -> dict[str, typing.Any]:
    """The result of a suite, with what one must know of machine and circumstances.

    Raises:
      BlindSRError, WorkerError: an option does not fit, results differ, or ours failed.
    """
    module = suite(options.suite)
    for name, value in module.DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.model_given, options.model = options.model is not None, options.model or "danv1"
    options.network = dict(options.network)
    host, notes = describe_host(), []
    with tempfile.TemporaryDirectory() as folder:
        options.folder = pathlib.Path(folder)
        pythons = {OURS: sys.executable}
        if options.suite in COMPARED and options.forms != []:
            refusal = peer_that_works(options.peer_python, options.folder)
            if refusal:
                notes.append(f"Ours alone: PyTorch's side cannot run ({refusal}).")
            else:
                pythons[PEER] = options.peer_python
        options.sides = Sides(pythons, options.folder)
        result = module.run(options)
    circumstances = {"about": module.ABOUT, "date": datetime.date.today().isoformat(), "dtype": "float32"}
    host["load_average_after"] = load_average()
    return {"suite": options.suite, **circumstances, "host": host, "notes": notes, "repeats": options.repeats, **result}


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)


def _size(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    return name, _count(value)


if __name__ == "__main__":
    sys.exit(main())
