"""Seconds from loaded weights to the first restored image: with nothing compiled before, and with a filled cache."""

from __future__ import annotations

import argparse
import typing

from benchmarks.contest import OURS, Contender, contenders_of, warm_up
from benchmarks.suites.pairs import Row, cases

DEFAULTS = {"sizes": [64], "batch": [1], "repeats": 1}
ABOUT = (
    "The first call of a fresh process, its start and imports not counted: tracing, compiling and one forward pass. "
    "`cold`: nothing was compiled before; `cached`: another process did the same just before. Ours keeps what it "
    "compiles in JAX's persistent cache, PyTorch in Inductor's."
)


def run(options: argparse.Namespace) -> dict[str, typing.Any]:
    """First calls, cold and cached."""
    model = {"name": options.model, "scale": options.scale, **options.network}
    result: Row = {"model": model, "tables": {"First call": []}}
    for batch, side in cases(options):
        arrays = options.folder / "arrays.npz"
        with options.sides.start(OURS) as worker:
            worker.call("draw", model=model, batch=batch, side=side, path=str(arrays))
        cold, cached = {}, {}
        for found in (cold, cached):
            with options.sides.all(keep_compiled=True) as workers:
                result["sides"] = {by: worker.call("describe") for by, worker in workers.items()}
                contenders = contenders_of(workers, "inference", options.model, options.forms)
                warm_up(contenders, "inference", model, arrays, options.folder)
                found |= {contender.key: contender for contender in contenders}
        rows = [_row(cold[key], cached[key]) for key in cold]
        result["tables"]["First call"] += [{"input": f"{batch} of {side}x{side}"} | row for row in rows]
    return result


def _row(cold: Contender, cached: Contender) -> Row:
    row = {"by": cold.by, "form": cold.form}
    if cold.failure or cached.failure:
        return row | {"failure": cold.failure or cached.failure}
    row |= {"cold_s": cold.warm_up_s, "cached_s": cached.warm_up_s}
    if cold.facts:
        row |= {"cold_trace_s": cold.facts["trace_s"], "cold_compile_s": cold.facts["compile_s"]}
        row |= {"cached_compile_s": cached.facts["compile_s"]}
    return row
