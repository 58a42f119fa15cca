"""Suite ``gradient``: a training step with different ways to take its gradient. Other suites use that step too."""

from __future__ import annotations

import argparse
import typing

import jax
import jax.numpy as jnp
import optax

from benchmarks.cases import Row, cases, model_of
from benchmarks.machine import describe_jax, seconds_in_turn, spread
from blindsr_jax.degradations import isotropic_gaussian
from blindsr_jax.losses import LOSSES
from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.compute import with_compute
from blindsr_jax.networks.unfolded import unfold
from blindsr_jax.types import Degraded

Step = typing.Callable[..., tuple[typing.Any, typing.Any, jax.Array]]
ABOUT = (
    "`last`: T - 1 steps without gradient in one loop, then one differentiated step (how DAN trains here). `all`: "
    "every step supervised and differentiated, each unrolled (how DSSR trains here). `scan`: all T steps inside one "
    "differentiated loop, the plain way to write it; it is compiled for its memory and not timed, since on a CPU one "
    "step takes minutes (jax-ml/jax#12868). `temporaries_mib`: XLA's figure for the compiled program."
)


def run(options: argparse.Namespace) -> Row:
    """Seconds and temporaries of the forward pass and of every way to take the gradient."""
    model = model_of(options)
    rows = [
        {"input": f"{batch} of {side}x{side}"} | row
        for batch, side in cases(options)
        for row in _rows(model, batch, side, options.repeats)
    ]
    return {"model": model, "sides": {"here": describe_jax()}, "tables": {"Times": rows}}


def initialised(model: Row) -> tuple[typing.Any, typing.Any]:
    """A network and random variables."""
    network = build(**model)
    return network, jax.jit(lambda key: init_variables(network, key))(jax.random.key(0, impl="rbg"))


def forward(network: typing.Any, variables: typing.Any, lr: jax.Array) -> jax.Array:
    """The forward pass with T steps, as at test time."""
    return network.apply(variables, lr).sr


def training_step(network: typing.Any, optimizer: optax.GradientTransformation, how: str) -> Step:
    """(params, opt_state, constants, lr, hr, kernel) -> (params, opt_state, loss), unjitted; ``how``: see ``ABOUT``."""
    loss = LOSSES[network.supervision]
    network = with_compute(network, remat="activations")

    def loss_of(params, constants, lr, hr, kernel):
        variables = {"params": params, "constants": constants}
        if how == "scan":
            steps = network.apply(variables, lr, network.supervision == "detail", method=_scan_all)
        else:
            steps = network.apply(variables, lr, gradient=how, method="training_steps")
        return loss(steps, network.apply(variables, hr, Degraded(lr, kernel), method="targets"))[0]

    def step(params, opt_state, constants, lr, hr, kernel):
        value, grads = jax.value_and_grad(loss_of)(params, constants, lr, hr, kernel)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    return step


def step_and_arguments(model: Row, batch: int, side: int, how: str | None = None) -> tuple[str, Step, tuple]:
    """A training step on random patches: its name, the function and its arguments.

    Args:
      model: name, scale and sizes of a network.
      batch: number of patches.
      side: side of the LR patches.
      how: the way to take the gradient, see ``ABOUT``; by default that of the network's training.
    """
    (network, variables), optimizer = initialised(model), optax.adam(2e-4)
    lr = jax.random.uniform(jax.random.key(1), (batch, side, side, 3))
    hr = jax.random.uniform(jax.random.key(2), (batch, side * model["scale"], side * model["scale"], 3))
    size = getattr(network, "kernel_size", 21)
    kernel = jnp.broadcast_to(isotropic_gaussian(2.0, size), (batch, size, size))
    params = variables["params"]
    step = training_step(network, optimizer, how or ways(network)[0])
    return "training step", step, (params, optimizer.init(params), variables["constants"], lr, hr, kernel)


def ways(network: typing.Any) -> tuple[str, ...]:
    """The ways to take the gradient of a network; the first is that of its training."""
    return ("all", "scan") if network.supervision == "detail" else ("last", "all", "scan")


def _scan_all(network, lr, keep):
    """Run all T steps in one differentiated loop. Returns every estimate if ``keep``, otherwise the last."""
    state, steps = unfold(network, network.start(lr), lr, network.iterations, keep=keep)
    if not keep:
        return [network.estimate_of(state)]
    return [jax.tree.map(lambda x, t=t: x[t], steps) for t in range(network.iterations)]


def _rows(model: Row, batch: int, side: int, repeats: int) -> list[Row]:
    network, variables = initialised(model)
    lr = jax.random.uniform(jax.random.key(1), (batch, side, side, 3))
    calls = {"forward": (lambda variables, lr: forward(network, variables, lr), (variables, lr))}
    calls |= {how: step_and_arguments(model, batch, side, how)[1:] for how in ways(network)}
    compiled = {how: jax.jit(function).lower(*arguments).compile() for how, (function, arguments) in calls.items()}
    runs = {how: lambda how=how: compiled[how](*calls[how][1]) for how in calls if how != "scan"}
    for once in runs.values():
        jax.block_until_ready(once())
    seconds = seconds_in_turn(runs, repeats)
    return [
        {
            "program": how,
            "temporaries_mib": compiled[how].memory_analysis().temp_size_in_bytes / 2**20,
            **(spread(seconds[how]) if how in seconds else {}),
        }
        for how in calls
    ]
