"""One compiled update: HR patches → degraded batch → network → loss → gradient → optimiser."""

from __future__ import annotations

import dataclasses
import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from blindsr_jax.degradations.pipeline import degrade_by
from blindsr_jax.degradations.steps import Steps
from blindsr_jax.losses import Loss
from blindsr_jax.networks.compute import Precision, Remat, with_compute
from blindsr_jax.training.sharding import blocks_a_turn, device_is_core, replicated
from blindsr_jax.training.state import TrainState, Tree
from blindsr_jax.types import Degraded

Metrics = dict[str, jax.Array]
TrainStep = typing.Callable[..., tuple[TrainState, Metrics]]


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
    """A part of a run with one task: one degradation and one loss.

    Attributes:
      until: last step of the stage, counted from the start of the run.
      scales: the scales to draw from for each batch, see ``scale_of_step``.
      degradation: the steps that make LR images.
      kernel_size: K of the drawn kernels.
      loss: one of ``losses``.
      supervise: see ``Unfolded.training_steps``.
      pool: kernels [N, K, K], if the degradation draws from a pool.
      recompute: ``remat`` of ``networks.compute``.
      precision: precision of the network, see ``networks.compute``; the rest computes in float32.
      accumulate: number of parts of each device's share of a batch; their gradients are computed in turn and averaged.
    """

    until: int
    scales: tuple[int, ...]
    degradation: Steps
    loss: Loss
    kernel_size: int = 21
    supervise: str = "last"
    pool: np.ndarray | None = None
    recompute: Remat = "activations"
    precision: Precision = "float32"
    accumulate: int = 1


def scale_of_step(seed: int, step: int, scales: tuple[int, ...]) -> int:
    """The scale of a batch, a function of seed and step alone. Drawn on the host because it determines shapes.

    Args:
      seed: seed of the run.
      step: number of the update, from 1.
      scales: the scales to draw from, with equal probability.
    """
    return scales[np.random.default_rng([seed, 2, step]).integers(len(scales))]  # data.pipeline uses 0 and 1


def make_train_step(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    stage: Stage,
    *,
    seed: int,
    scale: int | None = None,
    ema_decay: float = 0.0,
) -> TrainStep:
    """Make the jitted update. It donates the state it is given.

    Kernels and noise are drawn with fold_in(key(seed), batch), where the batch number includes batches that rollbacks
    skipped. The degradations are therefore the same after a resume and on any number of devices. An update whose loss
    or gradient is not finite leaves parameters and optimiser state unchanged and is counted.

    Args:
      module: the network.
      optimizer: the optax optimiser.
      mesh: from ``sharding.data_mesh``.
      stage: the stage to train.
      seed: seed of kernels and noise.
      scale: scale of the LR images, one of the stage's; its first by default.
      ema_decay: decay of the moving average of the parameters, if the state has one.

    Returns:
      (state, hr uint8 [B, sP, sP, 3], stop=None) -> (state, metrics). The metrics are scalars. If ``stop`` is given,
      [devices, N] from ``interrupt.put_request``, the metric ``stop`` is its mean over the devices, [N].
    """
    scale = scale or stage.scales[0]
    gradient = gradient_of_loss(module, mesh, stage)

    def train_step(
        pool: jax.Array | None, state: TrainState, hr: jax.Array, stop: jax.Array | None = None
    ) -> tuple[TrainState, Metrics]:
        hr = hr.astype(jnp.float32) / 255.0
        key = jax.random.fold_in(jax.random.key(seed), state.step + state.skipped)
        degraded = degrade_by(stage.degradation, key, hr, scale=scale, kernel_size=stage.kernel_size, pool=pool)
        ((value, parts), grads), asked = gradient(state.params, state.constants, hr, degraded, stop)
        grad_norm = optax.global_norm(grads)
        finite = jnp.isfinite(value) & jnp.isfinite(grad_norm)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = state.ema
        if ema is not None:
            ema = optax.incremental_update(params, ema, 1 - ema_decay)
        params, opt_state, ema = jax.tree.map(
            lambda new, old: jnp.where(finite, new, old),
            (params, opt_state, ema),
            (state.params, state.opt_state, state.ema),
        )
        state = dataclasses.replace(
            state,
            step=state.step + 1,
            params=params,
            opt_state=opt_state,
            ema=ema,
            bad_steps=state.bad_steps + ~finite,
            bad_in_a_row=jnp.where(finite, 0, state.bad_in_a_row + 1),
        )
        counters = {"bad_steps": state.bad_steps, "bad_in_a_row": state.bad_in_a_row}
        answer = {} if asked is None else {"stop": asked}
        return state, {"loss": value, **parts, "grad_norm": grad_norm, **counters, **answer}

    whole = replicated(mesh)  # inputs keep the sharding from ``create_state`` and ``put_batch``
    compiled = jax.jit(train_step, out_shardings=(whole, whole), donate_argnums=1)
    return functools.partial(compiled, jax.device_put(stage.pool, whole))


def gradient_of_loss(module: nn.Module, mesh: Mesh, stage: Stage) -> typing.Callable[..., typing.Any]:
    """Make (params, constants, hr, degraded, stop) -> (((loss, its parts), gradient by params), mean of stop).

    Each device computes the loss and gradient of its share of the batch. Only their mean is exchanged, once. The module
    computes as the stage says. On single-core devices it also uses ``ops.winograd``. On GPUs it unrolls its loops
    over blocks by four.
    """
    module = with_compute(
        module,
        remat=stage.recompute,
        precision=stage.precision,
        winograd=device_is_core(mesh),
        unroll=blocks_a_turn(mesh),
    )

    def loss_of(params: Tree, constants: Tree, hr: jax.Array, degraded: Degraded) -> tuple[jax.Array, Metrics]:
        variables = {"params": params, "constants": constants}
        return supervised_loss(module, variables, hr, degraded, loss=stage.loss, supervise=stage.supervise)

    gradient = _in_parts(jax.value_and_grad(loss_of, has_aux=True), stage.accumulate)

    def of_one_share(params: Tree, constants: Tree, hr: jax.Array, degraded: Degraded, stop: jax.Array | None) -> Tree:
        asked = None if stop is None else stop.mean(0)
        found = gradient(params, constants, hr, degraded)
        return jax.lax.pmean((found, asked), "data")  # shares are equal: the mean of the whole batch

    specs = (P(), P(), P("data"), P("data"), P("data"))
    return jax.shard_map(of_one_share, mesh=mesh, in_specs=specs, out_specs=P(), check_vma=False)


def _in_parts(gradient: typing.Callable[..., typing.Any], parts: int) -> typing.Callable[..., typing.Any]:
    """Call ``gradient`` (params, constants, *batch) on equal parts of the batch in turn, and average its results."""
    if parts == 1:
        return gradient

    def mean(params: Tree, constants: Tree, *batch: typing.Any) -> typing.Any:
        cut = jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), batch)
        one = jax.eval_shape(gradient, params, constants, *jax.tree.map(lambda x: x[0], cut))
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), one)

        def add(total: typing.Any, part: typing.Any) -> tuple[typing.Any, None]:
            return jax.tree.map(jnp.add, total, gradient(params, constants, *part)), None

        return jax.tree.map(lambda x: x / parts, jax.lax.scan(add, nothing, cut)[0])

    return mean


def supervised_loss(
    module: nn.Module,
    variables: dict[str, typing.Any],
    hr: jax.Array,
    degraded: Degraded,
    *,
    loss: Loss,
    supervise: str,
) -> tuple[jax.Array, Metrics]:
    """Loss of a network on a degraded batch.

    Args:
      module, variables: the network and its variables.
      hr: HR images [B, sH, sW, 3] in [0, 1].
      degraded: the LR images and true kernels, and what else the network is trained with.
      loss: one of ``losses``.
      supervise: which steps the loss sees, see ``Unfolded.training_steps``.

    Returns:
      The loss, and its parts at the last step.
    """
    scale = hr.shape[1] // degraded.lr.shape[1]
    known: dict[str, typing.Any] = {"kernel": degraded.kernel, "sigma": degraded.sigma, "scale": scale}
    context = {name: known[name] for name in module.trained_with}
    steps: typing.Any = module.apply(variables, degraded.lr, gradient=supervise, **context, method="training_steps")
    targets: typing.Any = module.apply(variables, hr, degraded, method="targets")
    return loss(steps, targets)
