"""The ``blindsr`` command: restore pictures, score and time models, make LR files, kernels, shards and bundles.

Exit codes: 0 all done; 1 some inputs failed (each named on stderr, the others written); 2 wrong usage.
Each subcommand is a module here. It imports its dependencies only when it runs, so that ``--help`` is fast.
"""

from __future__ import annotations

import argparse
import sys

from blindsr_jax.cli import bench, convert, data, degrade, demo, evaluate, kernels, models, restore
from blindsr_jax.cli.program_cache import keep_compiled_programs
from blindsr_jax.errors import BlindSRError


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(argv)
    keep_compiled_programs()
    try:
        return arguments.run(arguments)
    except BlindSRError as error:
        print(f"blindsr: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("blindsr: interrupted; what is finished is complete, the same command goes on", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """Build the parser with all subcommands."""
    from blindsr_jax import __version__

    command = argparse.ArgumentParser(
        "blindsr", description="Blind super-resolution: enlarge pictures of unknown blur."
    )
    command.add_argument("--version", action="version", version=__version__)
    commands = command.add_subparsers(required=True, metavar="COMMAND")
    for subcommand in (restore, evaluate, degrade, kernels, data, convert, models, bench, demo):
        subcommand.add(commands)
    return command
