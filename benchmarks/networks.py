"""Suite ``networks``: what every network of the package costs at its full size."""

from __future__ import annotations

import argparse
import sys
import time
import typing

import jax
import numpy as np

from benchmarks.cases import Row, cases
from benchmarks.machine import describe_jax
from blindsr_jax.config import default, model_sizes
from blindsr_jax.networks import build, init_variables

ABOUT = (
    "Every network at its full size, with random weights. `cpu_s` is the least processor time of a steady call; tie "
    "the process to one core, and it is the time of that core. `memory_mib` counts weights, input, result and XLA's "
    "temporaries. Solvers get the kernel."
)
_RECIPES = ("dan_lite", "danv1", "danv2", "dssr", "dcls")  # their full sizes are those of configs
_BLIND: dict[str, dict[str, typing.Any]] = {
    "dasr": {"name": "dasr"},
    "ikc": {"name": "ikc"},
    "kerneldan": {"name": "kerneldan"},
    "realdan, edsr": {"name": "realdan", "body": "edsr"},
    "realdan, rrdb, small estimator": {"name": "realdan", "body": "rrdb"},
    "kernelnet": {"name": "kernelnet"},
    "fixed_gaussian": {"name": "fixed_gaussian"},
    "model_based": {"name": "model_based"},
}
_SOLVERS: dict[str, dict[str, typing.Any]] = {
    "usrnet": {"name": "usrnet"},
    "dpir, total variation": {"name": "dpir", "denoiser": "total_variation"},
    "dpir, drunet": {"name": "dpir"},
}


def run(options: argparse.Namespace) -> Row:
    """Measure every network at one scale."""
    rows = []
    for name, chosen in full_sizes(options.scale).items():
        for batch, side in cases(options):
            row = {"network": name, "input": f"{batch} of {side}x{side}"} | _measured(chosen, options, batch, side)
            print(row, file=sys.stderr, flush=True)  # the last one takes minutes
            rows.append(row)
    return {"sides": {"here": describe_jax()}, "tables": {f"Networks x{options.scale}": rows}}


def full_sizes(scale: int) -> dict[str, dict[str, typing.Any]]:
    """The arguments of ``build`` for every network, by its name in the result."""
    sizes = {name: model_sizes(default(name, scale=scale)) for name in _RECIPES}
    return sizes | {name: chosen | {"scale": scale} for name, chosen in _BLIND.items()} | _SOLVERS


def _measured(sizes: dict[str, typing.Any], options: argparse.Namespace, batch: int, side: int) -> Row:
    network = build(**sizes | options.network)
    variables = init_variables(network, jax.random.key(0, impl="rbg"))
    given = {"lr": np.random.default_rng(0).uniform(size=(batch, side, side, 3)).astype(np.float32)}
    known = {} if network.blind else {"scale": options.scale}
    if not network.blind:
        given["kernel"] = np.full((batch, 21, 21), 1 / 441, np.float32)
    call = jax.jit(lambda variables, given: network.apply(variables, **given, **known))
    start = time.perf_counter()
    program = call.lower(variables, given).compile()
    compiled = time.perf_counter() - start
    memory = program.memory_analysis()
    used = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes
    seconds = []
    for _ in range(options.repeats + 1):
        start = time.process_time()
        jax.block_until_ready(program(variables, given))
        seconds.append(time.process_time() - start)
    return {
        "parameters": sum(np.size(leaf) for leaf in jax.tree.leaves(variables["params"])),
        "cpu_s": min(seconds[1:]),
        "memory_mib": used / 2**20,
        "compile_s": compiled,
    }
