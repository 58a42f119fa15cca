"""What ``inference`` and ``training`` share: cases, each timed on fresh workers of both sides."""

from __future__ import annotations

import argparse
import itertools
import typing

from benchmarks.contest import OURS, Contender, contenders_of, row_of, time_in_turn, verdicts, warm_up
from benchmarks.sides import Sides
from blindsr_jax.errors import ConfigError
from blindsr_jax.training.sharding import cores_that_share

Row = dict[str, typing.Any]


def compare(
    options: argparse.Namespace,
    kind: str,
    finish: typing.Callable[[Sides, Contender, typing.Any], Row] = lambda sides, contender, case: {},
) -> Row:
    """Times and ratios of one model in all its cases.

    Args:
      options: of ``run``.
      kind: ``inference`` or ``training``.
      finish: measures more of a contender, for its row, when the workers that were timed are gone.
    """
    model = {"name": options.model, "scale": options.scale, **options.network}
    result: Row = {"model": model, "tables": {"Times": [], "Ours over the best form of the peers": []}}
    for batch, side in cases(options):
        case = {"input": f"{batch} of {side}x{side}"}
        arrays = options.folder / "arrays.npz"
        given = {"model": model, "arrays": arrays, "batch": batch}
        with options.sides.all(devices=devices_for(kind, batch)) as workers:
            result["parameters"] = workers[OURS].call("draw", model=model, batch=batch, side=side, path=str(arrays))
            result["sides"] = {by: worker.call("describe") for by, worker in workers.items()}
            contenders = contenders_of(workers, kind, options.model, options.forms)
            warm_up(contenders, kind, model, arrays, options.folder)
            time_in_turn(contenders, options.repeats)
        for contender in contenders:
            more = {} if contender.failure else finish(options.sides, contender, given)
            result["tables"]["Times"].append(case | row_of(contender) | more)
        result["tables"]["Ours over the best form of the peers"] += [case | ratio for ratio in verdicts(contenders)]
    return result


def devices_for(kind: str, batch: int) -> int:
    """JAX's devices on a CPU, as the commands have them: each core one in training, one of all cores otherwise."""
    return cores_that_share(batch) if kind == "training" else 1


def cases(options: argparse.Namespace) -> list[tuple[int, int]]:
    """Batch and side of each case: one batch for all sizes, or one each. Raises ConfigError if it is neither."""
    if len(options.batch) not in (1, len(options.sizes)):
        raise ConfigError(
            f"--batch: {len(options.batch)} for {len(options.sizes)} sizes; give one for all, or one each"
        )
    batches = options.batch if len(options.batch) > 1 else itertools.repeat(options.batch[0])
    return list(zip(batches, options.sizes))
