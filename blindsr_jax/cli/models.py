"""``blindsr models``: the packaged weights."""

from __future__ import annotations

import argparse

from blindsr_jax.cli.arguments import Commands, add_command


def add(commands: Commands) -> None:
    """The subcommand."""
    add_command(commands, "models", run, "List the packaged models, and those without weights.")


def run(arguments: argparse.Namespace) -> int:
    """``blindsr models``: the packaged weights."""
    from blindsr_jax.weights.zoo import WITHOUT_WEIGHTS, models

    for name, line in (models() | {name: line for name, (line, _) in WITHOUT_WEIGHTS.items()}).items():
        print(f"{name}: {line}")
    if not models():
        print("no packaged weights in this version; train some, then 'blindsr convert RUN -o model.safetensors'")
    return 0
