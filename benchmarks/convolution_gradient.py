"""The gradient of a convolution with respect to its kernel: XLA's own, and that of ``ops.convolution``.

python -m benchmarks.convolution_gradient [--output benchmarks/results/NAME.json]
"""

from __future__ import annotations

import functools
import math

import jax

from benchmarks.machine import median_seconds, options, report
from blindsr_jax.ops.convolution import convolve

# Batch, side, channels, features: DANv1 in both orders and at two sizes, `dan_lite`, DSSR at LR and at HR size.
CASES = [
    (4, 32, 64, 74),
    (4, 32, 74, 64),
    (8, 64, 64, 74),
    (8, 64, 74, 64),
    (16, 32, 48, 58),
    (4, 32, 128, 128),
    (4, 128, 128, 128),
]
_AROUND = ((1, 1), (1, 1))


def _xla(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), _AROUND, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _ours(x, kernel):
    return convolve(x, kernel, _AROUND)


@functools.partial(jax.jit, static_argnums=0)
def _gradient(convolution, x, kernel, g):
    return jax.vjp(lambda kernel: convolution(x, kernel), kernel)[1](g)[0]


def _measure(batch, side, channels, features, repeats):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (batch, side, side, channels))
    kernel = jax.random.normal(keys[1], (3, 3, channels, features))
    g = jax.random.normal(keys[2], (batch, side, side, features))
    forward = jax.jit(_xla)
    runs = {
        "forward": lambda: forward(x, kernel),
        "gradient, XLA's own": lambda: _gradient(_xla, x, kernel, g),
        "gradient, by patches": lambda: _gradient(_ours, x, kernel, g),
    }
    for run in runs.values():
        jax.block_until_ready(run())
    gigaflop = 2e-9 * math.prod((9, channels, features, batch, side, side))
    seconds = median_seconds(runs, repeats)
    return {
        name: {"ms": round(1e3 * value, 2), "gflop_per_s": round(gigaflop / value)} for name, value in seconds.items()
    }


def main():
    arguments = options(__doc__, repeats=15).parse_args()
    cases = {
        f"{batch} of {side}x{side}, {channels} to {features}": _measure(
            batch, side, channels, features, arguments.repeats
        )
        for batch, side, channels, features in CASES
    }
    report({"convolution": "3x3, float32", "cases": cases}, arguments.output)


if __name__ == "__main__":
    main()
