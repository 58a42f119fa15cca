"""Temporaries of the compiled forward pass for each pixel of the result: what limits the size of a picture."""

from __future__ import annotations

import argparse
import typing

import jax

from benchmarks.machine import describe_machine
from benchmarks.suites.pairs import cases
from blindsr_jax.config import default, model_sizes
from blindsr_jax.networks import build, init_variables

DEFAULTS = {"sizes": [256], "batch": [1], "repeats": 1}
NETWORKS = ("dan_lite", "danv1", "danv2", "dssr", "usrnet")
ABOUT = (
    "Bytes that XLA sets aside for the T steps of a forward pass, besides weights, input and result. Nothing is run: "
    "the numbers depend on versions and device, not on how busy the machine is."
)


def run(options: argparse.Namespace) -> dict[str, typing.Any]:
    """Temporaries of the model that is named, or of all."""
    names = [options.model] if options.model_given else NETWORKS
    rows = [
        {"network": name, "input": f"{batch} of {side}x{side}"} | _temporaries(name, options, batch, side)
        for name in names
        for batch, side in cases(options)
    ]
    return {"sides": {"here": describe_machine()}, "tables": {"Temporaries": rows}}


def _temporaries(name: str, options: argparse.Namespace, batch: int, side: int) -> dict[str, typing.Any]:
    network = _network(name, options)
    shapes = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))
    given = {"lr": jax.ShapeDtypeStruct((batch, side, side, 3), "float32")}
    if name == "usrnet":
        given["kernel"] = jax.ShapeDtypeStruct((batch, 25, 25), "float32")
    known = {"scale": options.scale} if name == "usrnet" else {}
    call = jax.jit(lambda variables, given: network.apply(variables, **given, **known).sr)
    temporaries = call.lower(shapes, given).compile().memory_analysis().temp_size_in_bytes
    pixels = batch * (side * options.scale) ** 2
    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])),
        "temporaries_mib": temporaries / 2**20,
        "bytes_per_restored_pixel": temporaries / pixels,
    }


def _network(name: str, options: argparse.Namespace) -> typing.Any:
    if name == "usrnet":
        return build(name, **options.network)
    return build(**model_sizes(default(name, scale=options.scale)) | options.network)
