"""Two ways to the same transposed convolution, and what its gradient costs: DSSR ×4 at full width.

python -m benchmarks.transposed_convolution [--output benchmarks/results/NAME.json]
"""

from __future__ import annotations

import flax.linen as nn
import jax

from benchmarks.machine import median_seconds, options, report
from blindsr_jax.networks.layers import ConvTranspose

BATCH, SIDE, CHANNELS, SIZE, PADDING, STRIDE = 4, 32, 128, 4, 0, 4


def main():
    arguments = options(__doc__, repeats=5).parse_args()
    x = jax.random.normal(jax.random.key(0), (BATCH, SIDE, SIDE, CHANNELS))
    border = [(SIZE - 1 - PADDING,) * 2] * 2
    layers = {
        "dilated": nn.ConvTranspose(CHANNELS, (SIZE, SIZE), strides=(STRIDE, STRIDE), padding=border),
        "phases": ConvTranspose(CHANNELS, SIZE, PADDING, STRIDE),
    }
    variables = jax.jit(layers["phases"].init)(jax.random.key(1, impl="rbg"), x)
    runs = {}
    for name, layer in layers.items():
        forward = jax.jit(layer.apply)
        gradient = jax.jit(jax.grad(lambda v, x, layer=layer: (layer.apply(v, x) ** 2).sum(), (0, 1)))
        for kind, function in (("forward", forward), ("gradient", gradient)):
            jax.block_until_ready(function(variables, x))
            runs[f"{name}, {kind}"] = lambda function=function: function(variables, x)
    seconds = median_seconds(runs, arguments.repeats)
    shape = f"{BATCH} of {SIDE}x{SIDE}x{CHANNELS}, size {SIZE}, stride {STRIDE}, float32"
    result = {"input": shape, "milliseconds": {name: round(1e3 * value, 1) for name, value in seconds.items()}}
    report(result, arguments.output)


if __name__ == "__main__":
    main()
