"""Benchmark the speed and memory of this package against the PyTorch originals, in one session on this machine.

  python -m benchmarks.run --suite inference --model danv1 --sizes 64 128
  python -m benchmarks.run --suite training --peer-python VENV_WITH_TORCH/bin/python

Both sides get the same weights and input and must give the same result. They run in turn, never at the same time.
Without PyTorch, only this package runs.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib
import pathlib
import sys
import tempfile

from benchmarks.cases import Row
from benchmarks.machine import describe_host, load_average
from benchmarks.report import write
from benchmarks.workers import OURS, PEER, WorkerError, Workers, peer_that_works
from blindsr_jax.errors import BlindSRError, ConfigError


@dataclasses.dataclass(frozen=True)
class Suite:
    """A suite and the defaults of its options.

    Attributes:
      module, function: the function, in a module of ``benchmarks``, that maps the options to a result.
      about: name of the suite's description in that module.
      sizes, batch, repeats, devices: defaults of the options.
      peers: whether PyTorch's side takes part.
      models: the networks that it measures.
    """

    module: str
    function: str = "run"
    about: str = "ABOUT"
    sizes: tuple[int, ...] = ()
    batch: tuple[int, ...] = (1,)
    repeats: int = 5
    devices: tuple[int, ...] = ()
    peers: bool = False
    models: tuple[str, ...] = ("danv1", "danv2", "dssr")


_ONE_PASS = ("dcls", "dasr")  # measured at inference alone
_ALL = (*Suite.models, *_ONE_PASS)
SUITES = {
    "inference": Suite("beside_peers", "inference", "ABOUT_INFERENCE", (64, 128, 256), peers=True, models=_ALL),
    "training": Suite("beside_peers", "training", "ABOUT_TRAINING", (32, 64), (4, 8), peers=True),
    "compile": Suite("beside_peers", "compiling", "ABOUT_COMPILE", (64,), repeats=1, peers=True, models=_ALL),
    "gradient": Suite("training_step", sizes=(32,), batch=(4,), repeats=7),
    "roofline": Suite("roofline", sizes=(128, 32), batch=(1, 4)),
    "update": Suite("update", batch=(), repeats=20),
    "precision": Suite("precision", repeats=3),
    "degradation": Suite("degradation", sizes=(256,), batch=(64,)),
    "input": Suite("input_demand", sizes=(128, 256), batch=(64,), repeats=20),
    "memory": Suite("memory", "temporaries", "ABOUT_TEMPORARIES", (256,), repeats=1),
    "networks": Suite("networks", sizes=(64,), repeats=3),
    "huge-image": Suite("memory", "huge_image", "ABOUT_HUGE_IMAGE", repeats=1),
    "scaling": Suite("scaling", sizes=(64, 64, 64), batch=(1, 8, 64), repeats=1, devices=(8, 64, 256)),
    "convolution-gradient": Suite("microbench", "convolution_gradient", "ABOUT_GRADIENT", repeats=15),
    "transposed-convolution": Suite("microbench", "transposed_convolution", "ABOUT_TRANSPOSED"),
    "random-arrays": Suite("microbench", "draws", "ABOUT_DRAWS", repeats=15),
    "kernel-estimation": Suite("microbench", "kernel_estimation", "ABOUT_KERNEL_ESTIMATION", (512,), repeats=7),
}


def main(argv: list[str] | None = None) -> int:
    """Run a suite and return the exit code: 0 measured, 1 failed or refused, 2 wrong usage."""
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
    """The parser of all options. Options whose default depends on the suite are None until ``measure``."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--suite", choices=SUITES, required=True)
    alone = f"{' and '.join(_ONE_PASS)}: suites {', '.join(name for name, x in SUITES.items() if x.models == _ALL)}"
    command.add_argument("--model", choices=_ALL, help=f"default: danv1; suite memory: all networks; {alone}")
    command.add_argument("--scale", type=int, default=4, choices=(2, 3, 4))
    command.add_argument(
        "--network", type=_size, nargs="*", default=[], metavar="NAME=N", help="sizes other than the paper's"
    )
    command.add_argument("--sizes", type=_count, nargs="+", help="side of the images; see the suite")
    command.add_argument("--batch", type=_count, nargs="+", help="one batch for all sizes, or one for each")
    command.add_argument("--repeats", type=_count, help="number of rounds; every round times everything")
    command.add_argument("--devices", type=_count, nargs="+", help="scaling: numbers of devices to compile for")
    pictures = "huge-image: sizes of the LR pictures; default: 1500x1000 6000x4000"
    default = [(1500, 1000), (6000, 4000)]
    command.add_argument("--pictures", type=_picture, nargs="+", default=default, metavar="WxH", help=pictures)
    command.add_argument("--forms", nargs="*", help="names of the peers' forms; no name for ours alone; default: all")
    command.add_argument("--our-forms", nargs="+", help="names of our forms; default: all")
    command.add_argument(
        "--keep-compiled",
        action="store_true",
        help="training: measure memory in processes that read what the timed ones compiled, which saves minutes",
    )
    command.add_argument("--config", default="danv2_short_x4", help="update: a config of this project, or its path")
    command.add_argument("--peer-python", default=sys.executable, help="an interpreter with PyTorch and NumPy")
    command.add_argument("--output", type=pathlib.Path, help="a .json file; default: runs/benchmarks/SUITE_MODEL.json")
    return command


def measure(options: argparse.Namespace) -> Row:
    """The result of a suite, with the date, the machine and its load.

    Raises:
      BlindSRError, WorkerError: an option is invalid, the results differ, or our side failed.
    """
    suite, notes = SUITES[options.suite], []
    module = importlib.import_module(f"benchmarks.{suite.module}")
    for name in ("sizes", "batch", "repeats", "devices"):
        if getattr(options, name) is None:
            setattr(options, name, getattr(suite, name))
    options.model_given, options.model = options.model is not None, options.model or "danv1"
    if options.model not in suite.models:
        raise ConfigError(f"suite {options.suite} does not measure {options.model}, only {', '.join(suite.models)}")
    options.network = dict(options.network)
    host = describe_host()
    with tempfile.TemporaryDirectory() as folder:
        options.folder = pathlib.Path(folder)
        pythons = {OURS: sys.executable}
        if suite.peers and options.forms != []:
            refusal = peer_that_works(options.peer_python, options.folder)
            if refusal:
                notes.append(f"Ours alone: PyTorch's side cannot run ({refusal}).")
            else:
                pythons[PEER] = options.peer_python
        options.workers = Workers(pythons, options.folder)
        result = getattr(module, suite.function)(options)
    host["load_average_after"] = load_average()
    header = {"suite": options.suite, "about": getattr(module, suite.about), "date": datetime.date.today().isoformat()}
    return header | {"dtype": "float32", "host": host, "notes": notes, "repeats": options.repeats} | result


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)


def _size(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    return name, _count(value)


def _picture(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return _count(width), _count(height)


if __name__ == "__main__":
    sys.exit(main())
