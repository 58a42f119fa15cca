"""Suite ``update``: a config's own update, as ``blindsr_jax.main`` runs it, and the patches that it consumes."""

from __future__ import annotations

import argparse
import contextlib
import typing

import jax
import numpy as np

from benchmarks.cases import Row
from benchmarks.configs import config_named
from benchmarks.machine import describe_jax, seconds_in_turn, spread, undisturbed_clock
from blindsr_jax import config as config_lib
from blindsr_jax.errors import DataError
from blindsr_jax.training.setup import batches_of, state_of, training_source, updates_of
from blindsr_jax.training.sharding import data_mesh, put_batch

GO_S = 25 * 60  # the length of a training for which a number of steps is wanted
ABOUT = (
    "The compiled update of a config, degradation included, on one batch again and again. `with input`: each with the "
    "next batch of the tf.data pipeline, as in training, from the packaged photographs, decoded before. `consumed` and "
    "`supplied`: patches a second of the first, and of the pipeline alone. `steps in 25 minutes`: by the time with "
    "input; validations and checkpoints are not counted. `no input`: why there is none. `peak mib`: the most bytes "
    "ever in use on an accelerator. Seconds are processor time if all is tied to one core."
)


def run(options: argparse.Namespace) -> Row:
    """Measure the update of ``options.config``."""
    config = _config(options)
    mesh, clock = data_mesh(), undisturbed_clock()
    update, held = updates_of(config, mesh)(1), [state_of(config, mesh)]
    batch, side = config.data.batch_size, config.data.patch

    def step(hr: np.ndarray) -> typing.Any:
        held[0], metrics = update(held[0], put_batch(mesh, hr), None)
        return metrics

    hr = np.random.default_rng(0).integers(0, 256, (batch, *2 * (side * config.model.scale,), 3), np.uint8)
    (first,) = seconds_in_turn({"first": lambda: step(hr)}, 1, clock)["first"]
    seconds = seconds_in_turn({"update": lambda: step(hr)}, options.repeats, clock)["update"]
    row = {"config": options.config, "input": f"{batch} of {side}x{side}", "precision": config.precision}
    row |= {"first_s": first, **spread(seconds), "consumed": batch / spread(seconds)["median_s"]}
    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    row |= {} if peak is None else {"peak_mib": peak / 2**20}
    try:
        row |= _with_input(config, step, options.repeats)
    except (DataError, ImportError) as error:
        row["no_input"] = str(error)
    return {"sides": {"here": describe_jax()}, "tables": {"Update": [row]}}


def _with_input(config: typing.Any, step: typing.Callable[[np.ndarray], typing.Any], repeats: int) -> Row:
    """Measure the rate of the input pipeline, and the update fed by it."""
    source, batch, clock = training_source(config), config.data.batch_size, undisturbed_clock()
    with contextlib.closing(batches_of(config, source, 0)) as batches:
        for _ in range(-(-len(source) // batch) + 2):  # every photograph is decoded once
            next(batches)
        # One after another: in turn, the pipeline would fetch ahead during the other call.
        fed = seconds_in_turn({"fed": lambda: step(next(batches))}, repeats, clock)["fed"]
        alone = seconds_in_turn({"alone": lambda: next(batches)}, repeats, clock)["alone"]
    return {
        "with_input_s": sum(fed) / repeats,
        "supplied": batch * repeats / sum(alone),
        "steps_in_25_minutes": int(GO_S * repeats / sum(fed)),
    }


def _config(options: argparse.Namespace) -> typing.Any:
    config = config_named(options.config)
    config.data.source, config.data.root = "sample", ""
    config.model.update(options.network)
    if options.batch:
        config.data.batch_size = options.batch[0]
    if options.sizes:
        config.data.patch = options.sizes[0]
    config_lib.validate(config)
    return config
