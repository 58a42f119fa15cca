"""Suite ``degradation``: per-image blur and downsampling in four ways, and their share of a training step."""

from __future__ import annotations

import argparse
import statistics
import typing

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.cases import Row, cases, model_of
from benchmarks.comparison import Disagreement
from benchmarks.machine import describe_jax, seconds_in_turn, spread
from benchmarks.training_step import step_and_arguments
from blindsr_jax import ops
from blindsr_jax.degradations import isotropic_gaussian

KERNEL, STEP_BATCH, TOLERANCE = 21, 4, 1e-5
ABOUT = (
    f"HR images of the size given, each with a {KERNEL}x{KERNEL} kernel of its own, blurred, and blurred and "
    "downsampled by `imresize`. `share_of_step`: seconds of both for each image, over those of a training step "
    f"(measured with a batch of {STEP_BATCH} of the same images) for each image. All in true float32."
)


def run(options: argparse.Namespace) -> Row:
    """Times of every way to blur, and their share of a training step."""
    model, rows = model_of(options), []
    with jax.default_matmul_precision("highest"):  # else the ways differ on accelerators
        for batch, side in cases(options):
            step = _step_seconds(model, side, options.repeats) / STEP_BATCH
            rows += [{"input": f"{batch} of {side}x{side}"} | row for row in _rows(options, batch, side, step)]
    return {"model": model, "sides": {"here": describe_jax()}, "tables": {"Times": rows}}


def _rows(options: argparse.Namespace, batch: int, side: int, step: float) -> list[Row]:
    x = jax.random.uniform(jax.random.key(0), (batch, side, side, 3))
    kernel = jnp.stack([isotropic_gaussian(width, KERNEL) for width in np.linspace(0.2, 4.0, batch)])
    alone = {name: jax.jit(way) for name, way in WAYS.items()}
    both = {name: jax.jit(_then_downsample(way, options.scale)) for name, way in WAYS.items()}
    truth = ops.blur(x, kernel)
    runs = {}
    for name in WAYS:
        difference = float(jnp.abs(alone[name](x, kernel) - truth).max())
        if difference > TOLERANCE:
            raise Disagreement(f"{name}: differs from ops.blur by {difference:.1e}, {TOLERANCE:.0e} is allowed")
        jax.block_until_ready(both[name](x, kernel))
        runs |= {(name, "blur"): lambda f=alone[name]: f(x, kernel), (name, "both"): lambda f=both[name]: f(x, kernel)}
    seconds = seconds_in_turn(runs, options.repeats)
    return [
        {
            "way": name,
            "blur_s": statistics.median(seconds[name, "blur"]),
            **spread(seconds[name, "both"]),
            "share_of_step": statistics.median(seconds[name, "both"]) / batch / step,
        }
        for name in WAYS
    ]


def _then_downsample(way: typing.Callable[..., jax.Array], scale: int) -> typing.Callable[..., jax.Array]:
    return lambda x, kernel: ops.imresize(way(x, kernel), 1 / scale)


def _step_seconds(model: Row, side: int, repeats: int) -> float:
    """Median time of a training step on HR images of this size."""
    _, function, arguments = step_and_arguments(model, STEP_BATCH, side // model["scale"])
    step = jax.jit(function)
    jax.block_until_ready(step(*arguments))
    return statistics.median(seconds_in_turn({"step": lambda: step(*arguments)}, repeats)["step"])


def grouped_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One convolution with a group per image. The colour channels are its batch."""
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


def mapped_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """vmap over the convolution of one image with one kernel."""

    def one(image: jax.Array, weights: jax.Array) -> jax.Array:
        image = image.transpose(2, 0, 1)[:, None]
        return jax.lax.conv_general_dilated(image, weights[None, None], (1, 1), "VALID")[:, 0].transpose(1, 2, 0)

    return jax.vmap(one)(_padded(x, kernel), kernel)


def fourier(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Product of spectra. Needs all-gathers when the batch is sharded."""
    padded = _padded(x, kernel).transpose(0, 3, 1, 2)
    shape = padded.shape[2:]
    spectrum = jnp.fft.rfft2(padded) * jnp.conj(jnp.fft.rfft2(kernel, shape))[:, None]
    return jnp.fft.irfft2(spectrum, shape)[:, :, : x.shape[1], : x.shape[2]].transpose(0, 2, 3, 1)


def _padded(x: jax.Array, kernel: jax.Array) -> jax.Array:
    pad = kernel.shape[-1] // 2
    return jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")


WAYS = {
    "shifted reads (ops.blur)": ops.blur,
    "grouped convolution": grouped_convolution,
    "vmap of convolution": mapped_convolution,
    "FFT": fourier,
}
