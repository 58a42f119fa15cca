"""Comparison of this package with its peers: same weights and input, results checked to agree, then timed in turn."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import statistics
import time
import typing

import numpy as np

from benchmarks.machine import spread
from benchmarks.workers import OURS, Worker, WorkerError
from blindsr_jax.errors import BlindSRError, ConfigError

# Largest allowed difference between results, relative to the largest value, by precision of the arithmetic.
TOLERANCE = {"float32": 1e-4, "tf32": 1e-2, "bf16": 1e-1}
_LOOSER = {"change": 100.0}  # Adam divides gradients by their size, which magnifies rounding errors of small ones
_TURN_S, _PAUSE_S = 0.2, 0.05  # least length of a turn; pause in which the other side's threads fall asleep


class Disagreement(BlindSRError):
    """The sides compute different results, so their times cannot be compared."""


@dataclasses.dataclass
class Contender:
    """One form of one side.

    Attributes:
      worker: the process in which it runs.
      by: ``blindsr_jax`` or ``PyTorch``.
      form, precision: see ``serving.Side.forms``.
      warm_up_s: seconds of the first call (in training, of the first three), including compilation.
      facts: from ``Prepared.facts``.
      difference: largest difference from our result, relative to the largest value.
      failure: the reason why it does not run here; empty if it runs.
      seconds, cpu_seconds: wall time and processor time of all threads, for each call after the warm-up.
    """

    worker: Worker
    by: str
    form: str
    precision: str
    warm_up_s: float = math.nan
    facts: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    difference: float = 0.0
    failure: str = ""
    seconds: list[float] = dataclasses.field(default_factory=list)
    cpu_seconds: list[float] = dataclasses.field(default_factory=list)

    @property
    def key(self) -> str:
        return f"{self.by}, {self.form}"


def contenders_of(
    workers: dict[str, Worker], kind: str, model: str, wanted: list[str] | None, ours: list[str] | None = None
) -> list[Contender]:
    """All forms of all sides, ours first.

    Args:
      workers: the worker of each side.
      kind, model: see ``serving.Side.forms``.
      wanted: the peers' forms to take; None for all.
      ours: our forms to take; None for all.

    Raises:
      ConfigError: a wanted form does not exist.
    """
    every = [
        Contender(worker, by, form["name"], form["precision"])
        for by, worker in workers.items()
        for form in worker.call("forms", kind=kind, model=model)
    ]
    for option, chosen, mine in (("--forms", wanted, False), ("--our-forms", ours, True)):
        known = [contender.form for contender in every if (contender.by == OURS) == mine]
        unknown = [form for form in chosen or [] if known and form not in known]
        if unknown:
            raise ConfigError(f"{option}: there is no form {unknown[0]!r}; known are {'; '.join(known)}")
        if chosen is not None:
            every = [found for found in every if (found.by == OURS) != mine or found.form in chosen]
    return every


def warm_up(
    contenders: list[Contender], kind: str, model: dict[str, typing.Any], arrays: pathlib.Path, folder: pathlib.Path
) -> None:
    """Load, compile and run each contender for the first time, one after another, and compare its results with ours.

    A failure of a peer is recorded in its contender.

    Raises:
      WorkerError: our side failed.
      Disagreement: a result differs by more than ``TOLERANCE``.
    """
    reference = None
    for contender in contenders:
        outcome = folder / "outcome.npz"
        try:
            contender.worker.call(
                "prepare", key=contender.key, kind=kind, form=contender.form, model=model, arrays=str(arrays)
            )
            answer = contender.worker.call("warm_up", key=contender.key, outcome=str(outcome))
        except WorkerError as error:
            if contender.by == OURS:
                raise
            contender.failure = str(error)
            continue
        contender.warm_up_s, contender.facts = answer["seconds"], answer["facts"]
        with np.load(outcome) as file:
            result = {name: file[name] for name in file.files}
        reference = reference or result
        contender.difference = _agree(contender, result, reference)


def _agree(contender: Contender, result: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> float:
    """The largest difference relative to the largest value. Raises Disagreement if it exceeds ``TOLERANCE``."""
    largest = 0.0
    for name, want in reference.items():
        difference = float(np.abs(result[name] - want).max() / np.abs(want).max())
        allowed = TOLERANCE[contender.precision] * _LOOSER.get(name, 1.0)
        if not difference <= allowed:
            raise Disagreement(
                f"{contender.key}: its {name} differs from that of {OURS} by {difference:.1e} of the largest value, "
                f"{allowed:.0e} is allowed: different computations are not timed"
            )
        largest = max(largest, difference / _LOOSER.get(name, 1.0))
    return largest


def time_in_turn(contenders: list[Contender], rounds: int) -> None:
    """Time the contenders in turn, A B C A B C …. A turn lasts about 0.2 s, at least one call, and the others wait."""
    running = [contender for contender in contenders if not contender.failure]
    times = {}
    for contender in running:
        ((once, _),) = contender.worker.call("run", key=contender.key, times=1)
        times[contender.key] = max(1, round(_TURN_S / once))
    for _ in range(rounds):
        for contender in running:
            time.sleep(_PAUSE_S)
            for seconds, cpu_seconds in contender.worker.call("run", key=contender.key, times=times[contender.key]):
                contender.seconds.append(seconds)
                contender.cpu_seconds.append(cpu_seconds)


def row_of(contender: Contender) -> dict[str, typing.Any]:
    """The row of a contender: its times, or the reason why it failed."""
    row = {"by": contender.by, "form": contender.form}
    if contender.failure:
        return row | {"failure": contender.failure}
    row |= {"difference": contender.difference, "warm_up_s": contender.warm_up_s, **spread(contender.seconds)}
    return row | {"cpu_s": statistics.median(contender.cpu_seconds)}


def verdicts(contenders: list[Contender]) -> list[dict[str, typing.Any]]:
    """Ratios of our time to that of the peers' best form: at float32 and, if there are others, at any precision.

    The best form has the least median time. Two further ratios use the shortest time and the processor time, each with
    its best form. Other work on the machine disturbs them less.
    """
    found = []
    running = [contender for contender in contenders if contender.seconds]
    others = {contender.precision for contender in running} - {"float32"}
    for name, allowed in (("float32", {"float32"}), ("any", {"float32"} | others))[: 2 if others else 1]:
        fit = [contender for contender in running if contender.precision in allowed]
        ours, peers = ([c for c in fit if (c.by == OURS) == mine] for mine in (True, False))
        if ours and peers:
            found.append({"precision": name} | _ratios(ours, peers))
    return found


def _ratios(ours: list[Contender], peers: list[Contender]) -> dict[str, typing.Any]:
    def least(contenders: list[Contender], value: typing.Callable[[Contender], float]) -> float:
        return min(map(value, contenders))

    def ratio(value: typing.Callable[[Contender], float]) -> float:
        return least(ours, value) / least(peers, value)

    def median(contender: Contender) -> float:
        return statistics.median(contender.seconds)

    return {
        "ours_s": least(ours, median),
        "best_peer": min(peers, key=median).form,
        "best_peer_s": least(peers, median),
        "ours_over_best": ratio(median),
        "least_over_least": ratio(lambda contender: min(contender.seconds)),
        "cpu_over_cpu": ratio(lambda contender: statistics.median(contender.cpu_seconds)),
    }
