"""Blur with a kernel per image and downsampling, in every way, and as a share of the training step it feeds."""

from __future__ import annotations

import argparse
import statistics
import typing

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.contest import Disagreement, spread
from benchmarks.machine import describe_machine, seconds_in_turn
from benchmarks.suites.blurs import WAYS
from benchmarks.suites.pairs import cases
from benchmarks.training_step import training_step
from blindsr_jax import ops
from blindsr_jax.degradations import isotropic_gaussian
from blindsr_jax.losses import LOSSES
from blindsr_jax.networks import build, init_variables

DEFAULTS = {"sizes": [256], "batch": [64], "repeats": 5}
KERNEL, STEP_BATCH, TOLERANCE = 21, 4, 1e-5
ABOUT = (
    f"HR images of the size given, each with a {KERNEL}x{KERNEL} kernel of its own, blurred, and blurred and "
    "downsampled by `imresize`. `share_of_step`: seconds of both for each image, over those of a training step "
    f"(measured with a batch of {STEP_BATCH} of the same images) for each image."
)


def run(options: argparse.Namespace) -> dict[str, typing.Any]:
    """Times of every way, and their share."""
    rows = []
    for batch, side in cases(options):
        step = _step_seconds(options, side) / STEP_BATCH
        rows += [{"input": f"{batch} of {side}x{side}"} | row for row in _rows(options, batch, side, step)]
    return {"model": _model(options), "sides": {"here": describe_machine()}, "tables": {"Times": rows}}


def _rows(options: argparse.Namespace, batch: int, side: int, step: float) -> list[dict[str, typing.Any]]:
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


def _model(options: argparse.Namespace) -> dict[str, typing.Any]:
    return {"name": options.model, "scale": options.scale, **options.network}


def _step_seconds(options: argparse.Namespace, side: int) -> float:
    """Median time of a training step on HR images of this size."""
    network, optimizer = build(**_model(options)), optax.adam(2e-4)
    variables = jax.jit(lambda key: init_variables(network, key))(jax.random.key(0, impl="rbg"))
    how = "all" if network.supervision == "detail" else "last"
    hr = jax.random.uniform(jax.random.key(1), (STEP_BATCH, side, side, 3))
    lr = ops.imresize(hr, 1 / options.scale)
    kernel = jnp.broadcast_to(isotropic_gaussian(2.0, KERNEL), (STEP_BATCH, KERNEL, KERNEL))
    params = variables["params"]
    arguments = (params, optimizer.init(params), variables["constants"], lr, hr, kernel)
    step = jax.jit(training_step(network, optimizer, how, LOSSES[network.supervision]))
    jax.block_until_ready(step(*arguments))
    return statistics.median(seconds_in_turn({"step": lambda: step(*arguments)}, options.repeats)["step"])
