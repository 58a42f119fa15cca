"""Where the time goes: an inference and a training step beside what the machine can do, and by kind of operation."""

from __future__ import annotations

import argparse
import statistics
import typing

import jax
import jax.numpy as jnp
import optax

from benchmarks.ceilings import Ceilings, measured
from benchmarks.machine import describe_machine, seconds_in_turn, undisturbed_clock
from benchmarks.profiled import shares
from benchmarks.suites.pairs import Row, cases
from benchmarks.training_step import forward, training_step
from benchmarks.work import Work, work_of
from blindsr_jax.degradations import isotropic_gaussian
from blindsr_jax.errors import ConfigError
from blindsr_jax.losses import LOSSES
from blindsr_jax.networks import build, init_variables

DEFAULTS = {"sizes": [128, 32], "batch": [1, 4], "repeats": 5}
ABOUT = (
    "One inference (the first size and batch) and one training step (the second), in true float32. `gflop`: "
    "multiplications and additions of convolutions and matrix products, counted in the traced program, loops as often "
    "as they turn. `mb`: operands and results of these products, what must be moved if caches keep nothing from one to "
    "the next. `share_of_ceiling`: the shortest time that the measured ceilings allow, over the shortest seen; "
    "`binds`: the ceiling that allows no shorter one. The parts are shares of two profiled runs after the timed ones, "
    "and of the shortest time; `between operations` is what remains. Seconds are processor time if all is tied to one "
    "core (`taskset -c 0`), so that other work on it does not count, else those of the clock."
)


def run(options: argparse.Namespace) -> dict[str, typing.Any]:
    """Ceilings, programs beside them, and their parts."""
    if len(options.sizes) != 2:
        raise ConfigError(f"--sizes: {len(options.sizes)} given; one of the inference and one of the training step")
    model = {"name": options.model, "scale": options.scale, **options.network}
    result: Row = {"model": model, "sides": {"here": describe_machine()}}
    with jax.default_matmul_precision("highest"):
        ceilings = measured()
        programs, parts = [], []
        for make, case in zip((_inference, step_and_arguments), cases(options)):
            program, kinds = _measured(make, model, case, options.repeats, ceilings)
            programs.append(program)
            parts += kinds
    return result | {"tables": {"Ceilings": ceilings.rows, "Programs": programs, "Parts": parts}}


def _measured(
    make: typing.Callable, model: Row, case: tuple[int, int], repeats: int, ceilings: Ceilings
) -> tuple[Row, list[Row]]:
    """The row of a program, and those of its parts."""
    name, function, arguments = make(model, *case)
    work = work_of(function, *arguments)
    compiled = jax.jit(function).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))
    times = seconds_in_turn({name: lambda: compiled(*arguments)}, repeats, undisturbed_clock())[name]
    whole = Work(sum(part.flop for part in work.values()), sum(part.bytes for part in work.values()))
    program = {"program": name, "input": f"{case[0]} of {case[1]}x{case[1]}"}
    row = program | {"median_s": statistics.median(times), "min_s": min(times)}
    row |= _beside_ceilings(whole, min(times), ceilings)
    parts = sorted(shares(compiled, arguments, repeats=2).items(), key=lambda part: -part[1])
    return row, [program | _part(kind, share, min(times), work.get(kind)) for kind, share in parts]


def _beside_ceilings(work: Work, seconds: float, ceilings: Ceilings) -> Row:
    bounds = {
        "multiplying": work.flop / ceilings.flop_per_second,
        "memory": work.bytes / ceilings.bytes_per_second,
    }
    return {
        "gflop": work.flop / 1e9,
        "gflop_per_second": work.flop / seconds / 1e9,
        "mb": work.bytes / 1e6,
        "flop_per_byte": work.flop / work.bytes,
        "ceilings_meet_at_flop_per_byte": ceilings.flop_per_second / ceilings.bytes_per_second,
        "binds": max(bounds, key=bounds.__getitem__),
        "share_of_ceiling": max(bounds.values()) / seconds,
    }


def _part(kind: str, share: float, seconds: float, work: Work | None) -> Row:
    row = {"kind": kind, "share": share, "seconds": share * seconds}
    return row | ({"gflop": work.flop / 1e9, "gflop_per_second": work.flop / 1e9 / row["seconds"]} if work else {})


def _inference(model: Row, batch: int, side: int) -> tuple[str, typing.Callable, tuple]:
    network, variables = _initialised(model)
    lr = jax.random.uniform(jax.random.key(1), (batch, side, side, 3))
    return "inference", lambda variables, lr: forward(network, variables, lr), (variables, lr)


def step_and_arguments(model: Row, batch: int, side: int) -> tuple[str, typing.Callable, tuple]:
    """A training step of a model on LR patches of this side: its name, the function and what it is called with."""
    (network, variables), optimizer = _initialised(model), optax.adam(2e-4)
    lr = jax.random.uniform(jax.random.key(1), (batch, side, side, 3))
    hr = jax.random.uniform(jax.random.key(2), (batch, side * model["scale"], side * model["scale"], 3))
    size = getattr(network, "kernel_size", 21)
    kernel = jnp.broadcast_to(isotropic_gaussian(2.0, size), (batch, size, size))
    params = variables["params"]
    how = "all" if network.supervision == "detail" else "last"
    step = training_step(network, optimizer, how, LOSSES[network.supervision])
    return "training step", step, (params, optimizer.init(params), variables["constants"], lr, hr, kernel)


def _initialised(model: Row) -> tuple[typing.Any, typing.Any]:
    network = build(**model)
    return network, jax.jit(lambda key: init_variables(network, key))(jax.random.key(0, impl="rbg"))
