"""A training step, ours beside every form of the PyTorch originals, and the memory it takes."""

from __future__ import annotations

import argparse
import typing

from benchmarks.contest import Contender
from benchmarks.sides import Sides
from benchmarks.suites.pairs import Row, compare, devices_for

DEFAULTS = {"sizes": [32, 64], "batch": [4, 8], "repeats": 5}
ABOUT = (
    "Forward pass, loss, gradient and Adam on degraded images that are there already. `peak_mib`: the most memory held "
    "during a steady step of a fresh process beyond what it held when weights and input were loaded, so gradients, "
    "Adam's moments, temporaries and what the libraries keep (on an accelerator: the most ever in use on it). "
    "`temporaries_mib`: what XLA says of the compiled step."
)


def run(options: argparse.Namespace) -> dict[str, typing.Any]:
    """Times, their ratios, and memory."""
    return compare(options, "training", _memory)


def _memory(sides: Sides, contender: Contender, case: dict[str, typing.Any]) -> Row:
    arrays, outcome = str(case["arrays"]), str(sides.folder / "outcome.npz")
    key, form = contender.key, contender.form
    with sides.start(contender.by, devices=devices_for("training", case["batch"])) as worker:
        worker.call("prepare", key=key, kind="training", form=form, model=case["model"], arrays=arrays)
        worker.call("warm_up", key=key, outcome=outcome)
        peak = worker.call("peak", key=key)
    row: Row = {} if peak is None else {"peak_mib": peak / 2**20}
    if "temporaries_mib" in contender.facts:
        row["temporaries_mib"] = contender.facts["temporaries_mib"]
    return row
