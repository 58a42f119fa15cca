"""Suites that compare the package with the PyTorch originals: ``inference``, ``training`` and ``compile``."""

from __future__ import annotations

import argparse
import typing

from benchmarks.cases import Row, cases, model_of
from benchmarks.comparison import Contender, contenders_of, row_of, time_in_turn, verdicts, warm_up
from benchmarks.workers import OURS, Workers
from blindsr_jax.cores import cores
from blindsr_jax.training.sharding import cores_that_share

ABOUT_INFERENCE = (
    "The forward pass at test time, T steps, LR input of the size given; `difference` is that of the results."
)
ABOUT_TRAINING = (
    "Forward pass, loss, gradient and Adam on degraded images that are there already. `peak_mib`: the most memory held "
    "during a steady step of a fresh process beyond what it held when weights and input were loaded, so gradients, "
    "Adam's moments, temporaries and what the libraries keep (on an accelerator: the most ever in use on it). "
    "`temporaries_mib`: XLA's figure for the compiled step."
)
ABOUT_COMPILE = (
    "The first call of a fresh process, its start and imports not counted: tracing, compiling and one forward pass. "
    "`cold`: nothing was compiled before; `cached`: another process did the same just before. Ours keeps what it "
    "compiles in JAX's persistent cache, PyTorch in Inductor's."
)


def inference(options: argparse.Namespace) -> Row:
    """Seconds of T steps at test time in every form, and the ratios."""
    return _compare(options, "inference")


def training(options: argparse.Namespace) -> Row:
    """Seconds and memory of a training step in every form, and the ratios."""
    return _compare(options, "training", _memory)


def compiling(options: argparse.Namespace) -> Row:
    """Seconds from loaded weights to the first restored image, with an empty and a filled compilation cache."""
    model = model_of(options)
    result: Row = {"model": model, "tables": {"First call": []}}
    for batch, side in cases(options):
        arrays = options.folder / "arrays.npz"
        with options.workers.start(OURS) as worker:
            worker.call("draw", model=model, batch=batch, side=side, path=str(arrays))
        cold, cached = {}, {}
        for found in (cold, cached):
            with options.workers.all(keep_compiled=True) as workers:
                result["sides"] = {by: worker.call("describe") for by, worker in workers.items()}
                contenders = contenders_of(workers, "inference", options.model, options.forms, options.our_forms)
                warm_up(contenders, "inference", model, arrays, options.folder)
                found |= {contender.key: contender for contender in contenders}
        rows = [_first_calls(cold[key], cached[key]) for key in cold]
        result["tables"]["First call"] += [{"input": f"{batch} of {side}x{side}"} | row for row in rows]
    return result


def _compare(
    options: argparse.Namespace,
    kind: str,
    measure_more: typing.Callable[[Workers, Contender, Row], Row] = lambda workers, contender, case: {},
) -> Row:
    """Times and ratios of one model in all cases.

    ``measure_more`` returns further entries for the row of a contender. It runs after the timed processes have ended.
    """
    model = model_of(options)
    result: Row = {"model": model, "tables": {"Times": [], "Ours over the best form of the peers": []}}
    for batch, side in cases(options):
        case = {"input": f"{batch} of {side}x{side}"}
        arrays = options.folder / "arrays.npz"
        kept = options.keep_compiled
        given = {"model": model, "arrays": arrays, "batch": batch, "kept": kept}
        with options.workers.all(keep_compiled=kept, devices=_devices_for(kind, batch)) as workers:
            result["parameters"] = workers[OURS].call("draw", model=model, batch=batch, side=side, path=str(arrays))
            result["sides"] = {by: worker.call("describe") for by, worker in workers.items()}
            contenders = contenders_of(workers, kind, options.model, options.forms, options.our_forms)
            warm_up(contenders, kind, model, arrays, options.folder)
            time_in_turn(contenders, options.repeats)
        for contender in contenders:
            more = {} if contender.failure else measure_more(options.workers, contender, given)
            result["tables"]["Times"].append(case | row_of(contender) | more)
        result["tables"]["Ours over the best form of the peers"] += [case | ratio for ratio in verdicts(contenders)]
    return result


def _devices_for(kind: str, batch: int) -> int:
    """Number of JAX devices on a CPU, as the commands set it: one per core."""
    return cores_that_share(batch) if kind == "training" else cores()


def _memory(workers: Workers, contender: Contender, case: Row) -> Row:
    arrays, outcome = str(case["arrays"]), str(workers.folder / "outcome.npz")
    key, form = contender.key, contender.form
    devices = _devices_for("training", case["batch"])
    with workers.start(contender.by, keep_compiled=case["kept"], devices=devices) as worker:
        worker.call("prepare", key=key, kind="training", form=form, model=case["model"], arrays=arrays)
        worker.call("warm_up", key=key, outcome=outcome)
        peak = worker.call("peak", key=key)
    row: Row = {} if peak is None else {"peak_mib": peak / 2**20}
    if "temporaries_mib" in contender.facts:
        row["temporaries_mib"] = contender.facts["temporaries_mib"]
    return row


def _first_calls(cold: Contender, cached: Contender) -> Row:
    row = {"by": cold.by, "form": cold.form}
    if cold.failure or cached.failure:
        return row | {"failure": cold.failure or cached.failure}
    row |= {"cold_s": cold.warm_up_s, "cached_s": cached.warm_up_s}
    if cold.facts:
        row |= {"cold_trace_s": cold.facts["trace_s"], "cold_compile_s": cold.facts["compile_s"]}
        row |= {"cached_compile_s": cached.facts["compile_s"]}
    return row
