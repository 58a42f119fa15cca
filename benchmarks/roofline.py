"""Suite ``roofline``: the time of an inference and of a training step, relative to the machine's peak rates."""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import typing

import jax
import jax.numpy as jnp

from benchmarks.cases import Row, cases, model_of
from benchmarks.flops import Work, work_of
from benchmarks.machine import describe_jax, seconds_in_turn, undisturbed_clock
from benchmarks.operation_times import shares
from benchmarks.training_step import forward, initialised, step_and_arguments
from blindsr_jax.errors import ConfigError

_CHANNELS, _WINDOW = 64, 3
_CALLS = 20  # calls for each size of the peak rates, whatever ``--repeats``: they are short, and the shortest counts
Rates = dict[str, tuple[typing.Callable[[], typing.Any], float]]  # {size: (call, its FLOP or bytes)}
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
    """The ceilings, the programs relative to them, and the parts of the programs."""
    if len(options.sizes) != 2:
        raise ConfigError(f"--sizes: {len(options.sizes)} given; one of the inference and one of the training step")
    model = model_of(options)
    result: Row = {"model": model, "sides": {"here": describe_jax()}}
    with jax.default_matmul_precision("highest"):
        ceilings = measure_ceilings()
        programs, parts = [], []
        for make, case in zip((_inference, step_and_arguments), cases(options)):
            program, kinds = _measured(make, model, case, options.repeats, ceilings)
            programs.append(program)
            parts += kinds
    return result | {"tables": {"Ceilings": ceilings.rows, "Programs": programs, "Parts": parts}}


def _measured(
    make: typing.Callable, model: Row, case: tuple[int, int], repeats: int, ceilings: Ceilings
) -> tuple[Row, list[Row]]:
    """The row of a program and the rows of its parts."""
    name, function, arguments = make(model, *case)
    work = work_of(function, *arguments)
    compiled = jax.jit(function).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))
    times = seconds_in_turn({name: lambda: compiled(*arguments)}, repeats, undisturbed_clock())[name]
    whole = Work(sum(part.flop for part in work.values()), sum(part.bytes for part in work.values()))
    program = {"program": name, "input": f"{case[0]} of {case[1]}x{case[1]}"}
    row = program | {"median_s": statistics.median(times), "min_s": min(times)}
    row |= beside_ceilings(whole, min(times), ceilings)
    parts = sorted(shares(compiled, arguments, repeats=2).items(), key=lambda part: -part[1])
    return row, [program | _part(kind, share, min(times), work.get(kind)) for kind, share in parts]


def beside_ceilings(work: Work, seconds: float, ceilings: Ceilings) -> Row:
    """The rates of a program, the ceiling that binds it, and its speed relative to that ceiling."""
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
    network, variables = initialised(model)
    lr = jax.random.uniform(jax.random.key(1), (batch, side, side, 3))
    return "inference", lambda variables, lr: forward(network, variables, lr), (variables, lr)


@dataclasses.dataclass(frozen=True)
class Ceilings:
    """The machine's two ceilings.

    Attributes:
      flop_per_second: the best float32 rate of a matrix product or a convolution.
      bytes_per_second: the rate of an in-place sum of arrays larger than the caches.
      rows: each measured rate, for a table.
    """

    flop_per_second: float
    bytes_per_second: float
    rows: list[dict[str, typing.Any]]


def measure_ceilings() -> Ceilings:
    """Measure the ceilings of this device. Each is the best of several sizes, since the fastest size varies.

    On an accelerator the arrays are larger. There bfloat16 is measured as well, for the table only.
    """
    cpu = jax.default_backend() == "cpu"
    sides, images = ((512, 1024, 2048), (64, 128, 256)) if cpu else ((4096, 8192), (512, 1024))
    product, convolution = _best(_products(sides, "float32")), _best(_convolutions(images))
    memory = _best(_triads((2**24,) if cpu else (2**28,)))
    rows = [
        _row("matrix product, float32", *product),
        _row("convolution 3x3, 64 to 64 channels, float32", *convolution),
    ]
    if not cpu:
        rows.append(_row("matrix product, bfloat16", *_best(_products(sides, "bfloat16"))))
    rows.append({"what": "a + 3 b in the place of a, float32", "size": memory[0], "gb_per_second": memory[1] / 1e9})
    return Ceilings(max(product[1], convolution[1]), memory[1], rows)


def _row(what: str, size: str, rate: float) -> dict[str, typing.Any]:
    return {"what": what, "size": size, "gflop_per_second": rate / 1e9}


def _best(rates: Rates) -> tuple[str, float]:
    """The size with the highest rate, and that rate per second."""
    for call, _ in rates.values():
        jax.block_until_ready(call())
    seconds = seconds_in_turn({size: call for size, (call, _) in rates.items()}, _CALLS, undisturbed_clock())
    best = {size: work / min(seconds[size]) for size, (_, work) in rates.items()}
    return max(best.items(), key=lambda item: item[1])


def _products(sides: tuple[int, ...], dtype: str) -> Rates:
    product, rates = jax.jit(jnp.matmul), {}
    for side in sides:
        a = jnp.ones((side, side), dtype)
        rates[f"{side}x{side}"] = (lambda a=a: product(a, a), 2.0 * side**3)
    return rates


def _convolutions(sides: tuple[int, ...]) -> Rates:
    kernel = jnp.ones((_WINDOW, _WINDOW, _CHANNELS, _CHANNELS))
    numbers, rates = ("NHWC", "HWIO", "NHWC"), {}
    convolve = jax.jit(lambda x: jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers))
    for side in sides:
        x = jnp.ones((1, side, side, _CHANNELS))
        rates[f"{side}x{side}"] = (lambda x=x: convolve(x), 2.0 * (side * _WINDOW * _CHANNELS) ** 2)
    return rates


def _triads(lengths: tuple[int, ...]) -> Rates:
    triad, rates = jax.jit(lambda a, b: a + 3 * b, donate_argnums=0), {}
    for length in lengths:
        terms = [jnp.ones(length), jnp.ones(length)]

        def call(terms: list[jax.Array] = terms) -> jax.Array:
            terms[0] = triad(*terms)
            return terms[0]

        rates[f"{length * 4 // 2**20} MiB each"] = (call, 3.0 * 4 * length)
    return rates
