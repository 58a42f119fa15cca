"""What the machine can do at best: multiplications and additions a second, and bytes to and from memory."""

from __future__ import annotations

import dataclasses
import typing

import jax
import jax.numpy as jnp

from benchmarks.machine import seconds_in_turn, undisturbed_clock

_CHANNELS, _WINDOW = 64, 3
_CALLS = 20  # of each size, whatever the repeats of the rest: short calls, of which the shortest counts
Rates = dict[str, tuple[typing.Callable[[], typing.Any], float]]  # by size: a call, and its FLOP or bytes


@dataclasses.dataclass(frozen=True)
class Ceilings:
    """The machine's two ceilings.

    Attributes:
      flop_per_second: the best float32 rate of a matrix product or a convolution.
      bytes_per_second: of arrays larger than caches, as the result of a sum in the place of one of its terms.
      rows: each rate that was measured, for a table.
    """

    flop_per_second: float
    bytes_per_second: float
    rows: list[dict[str, typing.Any]]


def measured() -> Ceilings:
    """The ceilings of this device: the best of several sizes, since no single one is fastest everywhere.

    On an accelerator arrays are larger, and bfloat16 is measured too, which no ceiling here is about.
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
    """The size of the highest rate, and that rate a second."""
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
