"""What supervising only the last step saves: time and memory of a DANv1 training step, three ways.

  python -m benchmarks.training_step [--output benchmarks/results/NAME.json]

`last`: T − 1 steps without gradient in one loop, then one differentiated step (how this package trains).
`all`: every step supervised and differentiated, each unrolled (`supervise="all"`).
`scan`: all T steps inside one differentiated loop, the plain way to write it; compiled for its memory, but timed only
with --time-scan, since on CPU one step takes minutes (jax-ml/jax#12868).
"""

from __future__ import annotations

import argparse
import json
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from benchmarks.machine import describe_machine, median_seconds
from blindsr_jax.networks import build, init_variables

BATCH, SIDE, SCALE = 4, 32, 4


def forward(network, variables, lr):
    """The T-step forward pass, as at test time."""
    return network.apply(variables, lr).sr


def training_step(network, optimizer, how):
    """(params, opt_state, constants, lr, hr) -> (params, opt_state, loss), unjitted."""

    def loss_of(params, constants, lr, hr):
        variables = {"params": params, "constants": constants}
        if how == "scan":
            steps = [network.apply(variables, lr, method=_scan_all)]
        else:
            steps = network.apply(variables, lr, gradient=how, method="training_steps")
        return sum(jnp.abs(step.sr - hr).mean() + jnp.abs(step.code).mean() for step in steps)

    def step(params, opt_state, constants, lr, hr):
        loss, grads = jax.value_and_grad(loss_of)(params, constants, lr, hr)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    return step


def _scan_all(network, lr):
    """All T steps in one loop that the gradient goes through."""
    scan = nn.scan(
        lambda dan, estimate, lr: (dan.step(estimate, lr), None),
        variable_broadcast=["params", "constants"],
        split_rngs={"params": False},
        in_axes=nn.broadcast,
        length=network.iterations,
    )
    return scan(network, network.start(lr), lr)[0]


def measure(blocks, repeats, time_scan):
    """All figures of one network as a JSON-ready dictionary."""
    network, optimizer = build("danv1", scale=SCALE, blocks=blocks), optax.adam(2e-4)
    variables = jax.jit(lambda k: init_variables(network, k))(jax.random.key(0, impl="rbg"))
    params, constants = variables["params"], variables["constants"]
    opt_state = optimizer.init(params)
    lr = jax.random.uniform(jax.random.key(1), (BATCH, SIDE, SIDE, 3))
    hr = jax.random.uniform(jax.random.key(2), (BATCH, SIDE * SCALE, SIDE * SCALE, 3))

    compiled = {"forward": jax.jit(lambda v, x: forward(network, v, x)).lower(variables, lr).compile()}
    arguments = {"forward": (variables, lr)}
    for how in ("last", "all", "scan"):
        step = jax.jit(training_step(network, optimizer, how))
        compiled[how] = step.lower(params, opt_state, constants, lr, hr).compile()
        arguments[how] = (params, opt_state, constants, lr, hr)
    timed = [name for name in compiled if name != "scan" or time_scan]
    runs = {name: lambda name=name: compiled[name](*arguments[name]) for name in timed}
    for run in runs.values():
        jax.block_until_ready(run())
    seconds = median_seconds(runs, repeats)
    memory = {name: c.memory_analysis().temp_size_in_bytes / 2**20 for name, c in compiled.items()}
    return {
        "network": f"DANv1 x{SCALE}, {blocks} blocks, T = {network.iterations}",
        "input": f"batch {BATCH} of {SIDE}x{SIDE} LR, float32",
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "temporaries_mib": {name: round(value, 1) for name, value in memory.items()},
        "step_over_forward": round(seconds["last"] / seconds["forward"], 2),
        "temporaries_last_over_scan": round(memory["last"] / memory["scan"], 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--time-scan", action="store_true")
    parser.add_argument("--output", type=pathlib.Path)
    arguments = parser.parse_args()
    result = describe_machine() | measure(arguments.blocks, arguments.repeats, arguments.time_scan)
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
