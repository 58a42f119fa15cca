"""The ``blindsr`` command: restore pictures, score and time models, make LR files, kernels, shards and bundles.

Exit codes: 0 all done; 1 some inputs failed (each named on stderr, the others written); 2 wrong usage; 130 Ctrl-C;
141 the reader of the output has gone.
Each subcommand is a module here. It imports its dependencies only when it runs, so that ``--help`` is fast.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys

from blindsr_jax.cli import bench, convert, data, degrade, demo, evaluate, export, kernels, models, restore
from blindsr_jax.cli.interruptible import run_interruptibly
from blindsr_jax.cli.parsing import Parser
from blindsr_jax.cli.program_cache import keep_compiled_programs
from blindsr_jax.errors import BlindSRError, UsageError

_IMPORT = (
    "first import a Python module of yours that registers networks, steps or kernel samplers; it is looked for in the "
    "current folder and on PYTHONPATH; may be given several times"
)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(argv)
    keep_compiled_programs()
    try:
        _import_modules(arguments.modules)
        work = functools.partial(arguments.run, arguments)
        code = work() if arguments.in_main_thread else run_interruptibly(work)
        sys.stdout.flush()
        return code
    except BlindSRError as error:
        print(f"blindsr: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # who reads the output, such as head, has enough; the work may be unfinished
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("blindsr: interrupted; what is finished is complete, the same command goes on", file=sys.stderr)
        return 130


def _import_modules(names: list[str]) -> None:
    """Import the user's modules. Raises UsageError if there is no such module."""
    if names:
        sys.path.insert(0, "")
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise UsageError(f"--import {name}: {error}; expected a module in this folder or on PYTHONPATH") from None


def parser() -> Parser:
    """Build the parser with all subcommands."""
    from blindsr_jax import __version__

    command = Parser(
        "blindsr",
        description="Blind super-resolution: enlarge pictures of unknown blur.",
        examples=["blindsr restore photo.jpg", "blindsr models", "blindsr COMMAND --help"],
    )
    command.add_argument("--import", dest="modules", action="append", default=[], metavar="MODULE", help=_IMPORT)
    command.add_argument("--version", action="version", version=__version__)
    commands = command.add_subparsers(required=True, metavar="COMMAND")
    for subcommand in (restore, evaluate, degrade, kernels, data, convert, export, models, bench, demo):
        subcommand.add(commands)
    return command
