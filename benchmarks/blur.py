"""Per-sample blur, five ways to compute it: why `ops.blur` is a sum of shifted reads.

python -m benchmarks.blur [--output benchmarks/results/NAME.json]
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from benchmarks.machine import median_seconds, options, report
from blindsr_jax import ops

BATCH, SIDE, KERNEL = 16, 128, 21


def _padded(x, kernel):
    pad = kernel.shape[-1] // 2
    return jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")


def grouped_convolution(x, kernel):
    """One convolution with a group per image; colours as its batch."""
    weights = kernel.transpose(1, 2, 0)[:, :, None, :]
    y = jax.lax.conv_general_dilated(
        _padded(x, kernel).transpose(3, 1, 2, 0),
        weights,
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[0],
    )
    return y.transpose(3, 1, 2, 0)


def mapped_convolution(x, kernel):
    """vmap of a convolution of one image with one kernel."""

    def one(image, weights):
        image = image.transpose(2, 0, 1)[:, None]
        return jax.lax.conv_general_dilated(image, weights[None, None], (1, 1), "VALID")[:, 0].transpose(1, 2, 0)

    return jax.vmap(one)(_padded(x, kernel), kernel)


def fourier(x, kernel):
    """Product of spectra; needs all-gathers when the batch is sharded."""
    padded = _padded(x, kernel).transpose(0, 3, 1, 2)
    shape = padded.shape[2:]
    spectrum = jnp.fft.rfft2(padded) * jnp.conj(jnp.fft.rfft2(kernel, shape))[:, None]
    return jnp.fft.irfft2(spectrum, shape)[:, :, : x.shape[1], : x.shape[2]].transpose(0, 2, 3, 1)


def main():
    arguments = options(__doc__, repeats=9).parse_args()
    x = jax.random.uniform(jax.random.key(0), (BATCH, SIDE, SIDE, 3))
    kernel = jax.random.uniform(jax.random.key(1), (BATCH, KERNEL, KERNEL))
    kernel = kernel / kernel.sum(axis=(1, 2), keepdims=True)
    ways = {"shifted reads (ops.blur)": ops.blur, "grouped convolution": grouped_convolution}
    ways |= {"vmap of convolution": mapped_convolution, "FFT": fourier}
    compiled = {name: jax.jit(way) for name, way in ways.items()}
    truth = compiled["shifted reads (ops.blur)"](x, kernel)
    errors = {name: float(jnp.abs(way(x, kernel) - truth).max()) for name, way in compiled.items()}
    seconds = median_seconds(
        {name: lambda way=way: way(x, kernel) for name, way in compiled.items()}, arguments.repeats
    )
    result = {
        "input": f"{BATCH} images {SIDE}x{SIDE}x3, {BATCH} kernels {KERNEL}x{KERNEL}, float32",
        "milliseconds": {name: round(1e3 * value, 1) for name, value in seconds.items()},
        "largest_difference": errors,
    }
    report(result, arguments.output)


if __name__ == "__main__":
    main()
