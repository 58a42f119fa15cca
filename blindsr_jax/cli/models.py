"""``blindsr models``: list the packaged models, or print the card of one."""

from __future__ import annotations

import argparse

from blindsr_jax.cli.arguments import Commands, add_command


def add(commands: Commands) -> None:
    """Add the subcommand."""
    text = "List the packaged models, and those without weights; or say all about one."
    command = add_command(commands, "models", run, text)
    command.add_argument("name", nargs="?", help="a packaged model, to read its card")


def run(arguments: argparse.Namespace) -> int:
    """``blindsr models``: list the packaged models, or print the card of one."""
    from blindsr_jax.evaluation.cards import card
    from blindsr_jax.weights.zoo import WITHOUT_WEIGHTS, is_default, models

    if arguments.name:
        print(card(arguments.name), end="")
        return 0
    for name, line in (models() | {name: line for name, (line, _) in WITHOUT_WEIGHTS.items()}).items():
        print(f"{name}{' (the default)' if is_default(name) else ''}: {line}")
    print("'blindsr models NAME' says what one is for, where it fails and how it was made")
    if not models():
        print("no packaged weights in this version; train some, then 'blindsr convert RUN -o model.safetensors'")
    return 0
