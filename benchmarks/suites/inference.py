"""T steps of a network at test time, ours beside every form of the PyTorch originals."""

from __future__ import annotations

import argparse
import typing

from benchmarks.suites.pairs import compare

DEFAULTS = {"sizes": [64, 128, 256], "batch": [1], "repeats": 5}
ABOUT = "The forward pass at test time, T steps, LR input of the size given; `difference` is that of the results."


def run(options: argparse.Namespace) -> dict[str, typing.Any]:
    """Times, and their ratios."""
    return compare(options, "inference")
