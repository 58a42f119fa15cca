"""Kernel estimation: seconds of a full-size KernelNet beside the convolution rate of the machine.

  python -m benchmarks.kernel_estimation [--output benchmarks/results/NAME.json]
  python -m benchmarks.kernel_estimation --model runs/kernelnet_lite_x4 --data PHOTOS --kernels held_out.npy

The first needs no weights: times do not depend on them. The second adds what looking at the most textured window alone
costs in kernel ℓ1, with trained weights, on central 512×512 LR crops of the photographs.
"""

from __future__ import annotations

import pathlib
import statistics
import typing

import jax
import numpy as np

from benchmarks.machine import median_seconds, options, report
from blindsr_jax.data.sources import open_source
from blindsr_jax.evaluation.protocols import s_fold_circular
from blindsr_jax.evaluation.run import evaluate
from blindsr_jax.evaluation.samples import SyntheticTests
from blindsr_jax.images.kernel_arrays import read_kernels
from blindsr_jax.inference.loading import load
from blindsr_jax.inference.model import Model
from blindsr_jax.networks import build, init_variables

SIDE, WINDOW = 512, 192
# Size of the kernel and channels of the gradient module's convolutions; nearly all of the work.
_CONVOLUTIONS = ((9, 2, 128), (1, 128, 128), (3, 128, 128), (5, 128, 128), (1, 128, 128), (3, 128, 2))


def gigaflop(side: int) -> float:
    """Of the full-size gradient module on an image of side×side pixels: 2 k² · channels in · channels out each."""
    return 2e-9 * side**2 * sum(size**2 * into * out_of for size, into, out_of in _CONVOLUTIONS)


def convolution(size: int) -> tuple[typing.Callable[[], jax.Array], float]:
    """A jitted convolution of 128 channels on a SIDE×SIDE image, and its GFLOP."""
    x = jax.random.normal(jax.random.key(1), (1, SIDE, SIDE, 128))
    weights = jax.random.normal(jax.random.key(2), (size, size, 128, 128))
    run = jax.jit(
        lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    )
    return lambda: run(x, weights), 2e-9 * (SIDE * size * 128) ** 2


def speed(scale: int, repeats: int) -> dict[str, typing.Any]:
    """Rates of plain convolutions and of KernelNet in the same run."""
    network = build("kernelnet", scale=scale)
    model = Model(network, jax.jit(lambda key: init_variables(network, key))(jax.random.key(0, impl="rbg")))
    windowed = model.within(WINDOW)
    lr = jax.random.uniform(jax.random.key(3), (1, SIDE, SIDE, 3))
    whole, window = f"KernelNet, {SIDE}x{SIDE}", f"KernelNet, {WINDOW}x{WINDOW} of {SIDE}x{SIDE}"
    runs = {whole: lambda: model(lr).kernel, window: lambda: windowed(lr).kernel}
    work = {whole: gigaflop(SIDE), window: gigaflop(WINDOW)}
    for size in (3, 5):
        name = f"convolution {size}x{size}, 128 to 128 channels, {SIDE}x{SIDE}"
        runs[name], work[name] = convolution(size)
    for run in runs.values():
        jax.block_until_ready(run())
    seconds = median_seconds(runs, repeats)
    rates = {name: work[name] / seconds[name] for name in runs}
    best = max(rate for name, rate in rates.items() if name.startswith("convolution"))
    return {
        "network": f"kernelnet x{scale}, full size, {model.parameters} parameters",
        "input": f"one {SIDE}x{SIDE} LR image, float32",
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "gigaflop": {name: round(value, 1) for name, value in work.items()},
        "gigaflop_per_second": {name: round(value, 1) for name, value in rates.items()},
        "share_of_the_convolution_rate": round(rates[whole] / best, 2),
    }


def cost_of_a_window(model: Model, data: pathlib.Path, kernels: pathlib.Path) -> dict[str, typing.Any]:
    """Kernel ℓ1 and median seconds from whole images and from windows."""
    known = {f"kernel {i}": kernel for i, kernel in enumerate(read_kernels(kernels)[:8])}
    source = open_source("folder", str(data), smallest=16 * model.scale)
    tests = SyntheticTests(source, s_fold_circular(model.scale, known), crop=SIDE * model.scale)
    result = {}
    for name, way in {"whole image": model, f"window of {WINDOW}x{WINDOW}": model.within(WINDOW)}.items():
        rows = evaluate(way, tests, failures=[])
        refined = [row for row in rows if row.method == rows[0].method]
        result[name] = {
            "kernel_l1": round(float(np.mean([row.kernel_l1 for row in refined])), 4),
            "seconds": round(statistics.median(row.seconds for row in refined), 4),
        }
    return {
        "weights": {
            "network": repr(model),
            "images": len(tests.names),
            "kernels": len(known),
            "crop": f"{SIDE}x{SIDE} LR at most",
            **result,
        }
    }


def main():
    parser = options(__doc__, repeats=7)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--model", help="trained KernelNet: a run or a bundle")
    parser.add_argument("--data", type=pathlib.Path, help="HR photographs that it was not trained on")
    parser.add_argument("--kernels", type=pathlib.Path, help="file of held-out kernels; eight are used")
    arguments = parser.parse_args()
    given = (arguments.model, arguments.data, arguments.kernels)
    if any(given) != all(given):
        parser.error("--model, --data and --kernels go together")
    result = speed(arguments.scale, arguments.repeats)
    if arguments.model:
        result |= cost_of_a_window(load(arguments.model), arguments.data, arguments.kernels)
    report(result, arguments.output)


if __name__ == "__main__":
    main()
