"""What several subcommands take."""

from __future__ import annotations

import argparse
import pathlib
import typing

Commands = typing.Any  # argparse does not name what add_subparsers returns
SELF_ENSEMBLE = "average over the image's eight flips and turns: slightly better, eight times slower"
MODEL = "packaged name (see 'blindsr models'), .safetensors bundle, workdir of a run, or official .pth file"


def add_command(
    commands: Commands, name: str, run: typing.Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """A subcommand that runs a function, with its help."""
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def add_files(command: argparse.ArgumentParser) -> None:
    """Image files in, image files out."""
    command.add_argument("inputs", nargs="+", type=pathlib.Path, metavar="IN", help="image files or folders")
    command.add_argument("-o", "--output", type=pathlib.Path, required=True, help="image file or folder")
    command.add_argument("--overwrite", action="store_true", help="replace outputs that exist")


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def level(text: str) -> float:
    """A number on the 0–255 scale."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 255:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 255, got {text!r}")
    return value
