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
from blindsr_jax.training.setup import batches_of, state_of, training_source, updates_of
from blindsr_jax.training.sharding import data_mesh, put_batch

GO_S = 25 * 60  # the length of a training for which a number of steps is wanted
ABOUT = (
    "The compiled update of a config, degradation included, on patches of the packaged photographs, which are decoded "
    "before. `update`: one batch again and again. `with input`: each with the next batch of the tf.data pipeline, as "
    "in training. `consumed` and `supplied`: patches a second of the first, and of the pipeline alone. `steps in 25 "
    "minutes`: by the time with input; validations and checkpoints are not counted. `peak mib`: the most bytes ever "
    "in use on an accelerator. Seconds are processor time if all is tied to one core."
)


def run(options: argparse.Namespace) -> Row:
    """Measure the update of ``options.config``."""
    config = _config(options)
    mesh = data_mesh()
    source, update, held = training_source(config), updates_of(config, mesh)(1), [state_of(config, mesh)]

    def step(hr: np.ndarray) -> typing.Any:
        held[0], metrics = update(held[0], put_batch(mesh, hr), None)
        return metrics

    with contextlib.closing(batches_of(config, source, 0)) as batches:
        hr = next(batches)
        clock = undisturbed_clock()
        (first,) = seconds_in_turn({"first": lambda: step(hr)}, 1, clock)["first"]
        for _ in range(-(-len(source) // config.data.batch_size) + 2):  # every photograph is decoded once
            next(batches)
        calls = {"update": lambda: step(hr), "with input": lambda: step(next(batches)), "input": lambda: next(batches)}
        # One after another: in turn, the pipeline would fetch ahead during the other calls.
        seconds = {name: seconds_in_turn({name: call}, options.repeats, clock)[name] for name, call in calls.items()}
    median = {name: spread(times)["median_s"] for name, times in seconds.items()}
    batch, side = config.data.batch_size, config.data.patch
    row = {
        "config": options.config,
        "input": f"{batch} of {side}x{side}",
        "precision": config.precision,
        "first_s": first,
        "update_s": median["update"],
        "with_input_s": sum(seconds["with input"]) / options.repeats,
        "consumed": batch / median["update"],
        "supplied": batch * options.repeats / sum(seconds["input"]),
        "steps_in_25_minutes": int(GO_S * options.repeats / sum(seconds["with input"])),
        "calls": options.repeats,
    }
    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    row |= {} if peak is None else {"peak_mib": peak / 2**20}
    return {"sides": {"here": describe_jax()}, "tables": {"Update": [row]}}


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
