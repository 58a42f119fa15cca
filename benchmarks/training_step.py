"""Time and memory of a training step, by how its gradient is taken.

  python -m benchmarks.training_step [--model danv1|danv2|dssr] [--output benchmarks/results/NAME.json]

`last`: T − 1 steps without gradient in one loop, then one differentiated step (how DAN trains here).
`all`: every step supervised and differentiated, each unrolled (how DSSR trains here; DAN with `supervise="all"`).
`scan`: all T steps inside one differentiated loop, the plain way to write it; compiled for its memory, but timed only
with --time-scan, since on CPU one step takes minutes (jax-ml/jax#12868).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from benchmarks.machine import median_seconds, options, report
from blindsr_jax import losses
from blindsr_jax.degradations import isotropic_gaussian
from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.compute import with_compute
from blindsr_jax.networks.unfolded import unfold

# The full-size networks and the ways that make sense for them.
NETWORKS = {
    "danv1": (("last", "all", "scan"), losses.code_supervision),
    "danv2": (("last", "all", "scan"), losses.kernel_supervision),
    "dssr": (("all", "scan"), losses.detail_supervision),
}


def forward(network, variables, lr):
    """The T-step forward pass, as at test time."""
    return network.apply(variables, lr).sr


def training_step(network, optimizer, how, loss, remat="activations"):
    """(params, opt_state, constants, lr, hr, kernel) -> (params, opt_state, loss), unjitted."""
    network = with_compute(network, remat=remat)

    def loss_of(params, constants, lr, hr, kernel):
        variables = {"params": params, "constants": constants}
        if how == "scan":
            steps = network.apply(variables, lr, loss is losses.detail_supervision, method=_scan_all)
        else:
            steps = network.apply(variables, lr, gradient=how, method="training_steps")
        return loss(steps, network.apply(variables, hr, lr, kernel, method="targets"))[0]

    def step(params, opt_state, constants, lr, hr, kernel):
        value, grads = jax.value_and_grad(loss_of)(params, constants, lr, hr, kernel)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    return step


def _scan_all(network, lr, keep):
    """All T steps in one loop that the gradient goes through: every estimate, or the last."""
    state, steps = unfold(network, network.start(lr), lr, network.iterations, keep=keep)
    if not keep:
        return [network.estimate_of(state)]
    return [jax.tree.map(lambda x, t=t: x[t], steps) for t in range(network.iterations)]


def measure(name, scale, sizes, batch, side, repeats, time_scan):
    """All figures of one network as a JSON-ready dictionary."""
    ways, loss = NETWORKS[name]
    network, optimizer = build(name, scale=scale, **sizes), optax.adam(2e-4)
    variables = jax.jit(lambda k: init_variables(network, k))(jax.random.key(0, impl="rbg"))
    params, constants = variables["params"], variables["constants"]
    lr = jax.random.uniform(jax.random.key(1), (batch, side, side, 3))
    hr = jax.random.uniform(jax.random.key(2), (batch, side * scale, side * scale, 3))
    kernel = jnp.broadcast_to(isotropic_gaussian(2.0, 21), (batch, 21, 21))
    step_arguments = (params, optimizer.init(params), constants, lr, hr, kernel)

    compiled = {"forward": jax.jit(lambda v, x: forward(network, v, x)).lower(variables, lr).compile()}
    arguments = {"forward": (variables, lr)}
    for how in ways:
        compiled[how] = jax.jit(training_step(network, optimizer, how, loss)).lower(*step_arguments).compile()
        arguments[how] = step_arguments
    timed = [way for way in compiled if way != "scan" or time_scan]
    runs = {way: lambda way=way: compiled[way](*arguments[way]) for way in timed}
    for run in runs.values():
        jax.block_until_ready(run())
    seconds = median_seconds(runs, repeats)
    memory = {way: c.memory_analysis().temp_size_in_bytes / 2**20 for way, c in compiled.items()}
    return {
        "network": f"{name} x{scale}, {sizes or 'full size'}, T = {network.iterations}",
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "input": f"batch {batch} of {side}x{side} LR, float32",
        "seconds": {way: round(value, 3) for way, value in seconds.items()},
        "temporaries_mib": {way: round(value, 1) for way, value in memory.items()},
        "step_over_forward": round(seconds[ways[0]] / seconds["forward"], 2),
        f"temporaries_{ways[0]}_over_scan": round(memory[ways[0]] / memory["scan"], 3),
    }


def main():
    parser = options(__doc__, repeats=7)
    parser.add_argument("--model", choices=list(NETWORKS), default="danv1")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--blocks", type=int, help="fewer than the paper's")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--side", type=int, default=32, help="of the LR patches")
    parser.add_argument("--time-scan", action="store_true")
    arguments = parser.parse_args()
    sizes = {"blocks": arguments.blocks} if arguments.blocks else {}
    result = measure(
        arguments.model, arguments.scale, sizes, arguments.batch, arguments.side, arguments.repeats, arguments.time_scan
    )
    report(result, arguments.output)


if __name__ == "__main__":
    main()
