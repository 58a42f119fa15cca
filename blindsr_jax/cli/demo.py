"""``blindsr demo``: serve a page that restores pictures in the browser."""

from __future__ import annotations

import argparse
import math

from blindsr_jax.cli.arguments import Commands, add_command

_HOST = "address to listen on; default: 127.0.0.1, this machine only; 0.0.0.0: everyone who can reach it, no password"
_ALLOW = "further names by which browsers reach the page, such as a proxy's; others are refused (DNS rebinding)"
_MODEL = "further models to offer: packaged names, .safetensors bundles, workdirs of runs, .pth files, ESTIMATOR+SOLVER"


def add(commands: Commands) -> None:
    """Add the subcommand and its options."""
    text = "Restore pictures in the browser, on this machine."
    command = add_command(commands, "demo", run, text, in_main_thread=True)
    command.add_argument("--host", default="127.0.0.1", help=_HOST)
    command.add_argument("--allow-host", nargs="+", default=[], metavar="NAME", help=_ALLOW)
    command.add_argument("--port", type=_port, help="default: 7860, or the next free one")
    command.add_argument("--no-browser", action="store_true", help="do not open a browser, only print the address")
    command.add_argument("--model", nargs="+", default=[], metavar="NAME_OR_FILE", help=_MODEL)
    command.add_argument(
        "--max-megapixels", type=_megapixels, default=2.0, metavar="N", help="size of the largest picture; default: 2"
    )


def run(arguments: argparse.Namespace) -> int:
    """``blindsr demo``: serve the page until it is interrupted."""
    from blindsr_jax.demo.server import serve

    return serve(
        browser=not arguments.no_browser,
        host=arguments.host,
        hosts=arguments.allow_host,
        port=arguments.port,
        models=arguments.model,
        megapixels=arguments.max_megapixels,
    )


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 65535, got {text!r}")
    return int(text)


def _megapixels(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value
