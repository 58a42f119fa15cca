"""``blindsr models``: the packaged weights."""

from __future__ import annotations

import argparse

from blindsr_jax.cli.arguments import Commands, add_command


def add(commands: Commands) -> None:
    """The subcommand."""
    add_command(commands, "models", run, "List the packaged models.")


def run(arguments: argparse.Namespace) -> int:
    """``blindsr models``: the packaged weights."""
    from blindsr_jax.weights.zoo import models

    for name, line in models().items():
        print(f"{name}: {line}")
    if not models():
        print("no packaged weights in this version; train some, then 'blindsr convert RUN -o model.safetensors'")
    return 0
