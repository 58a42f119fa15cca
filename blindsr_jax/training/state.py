"""The training state: everything that a run keeps from one step to the next."""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from blindsr_jax.networks.chain import stack_chains
from blindsr_jax.networks.registry import init_variables

Tree = typing.Any


@flax.struct.dataclass
class TrainState:
    """The state saved in checkpoints. With the config it is sufficient to resume a run.

    Attributes:
      step: number of updates done, int32.
      params: the network's parameters, with chains of blocks stacked (``networks.chain``).
      constants: the network's constants (PCA basis).
      opt_state: optax's state.
      ema: moving average of the parameters, or None.
      bad_steps: number of updates skipped because their loss or gradient was not finite, int32.
      bad_in_a_row: number of consecutive skipped updates up to this step, int32.
      rollbacks: number of times the run went back to a checkpoint, int32.
      skipped: number of batches that rollbacks skipped, int32; step n uses batch n + skipped.
    """

    step: jax.Array
    params: Tree
    constants: Tree
    opt_state: Tree
    ema: Tree | None
    bad_steps: jax.Array
    bad_in_a_row: jax.Array
    rollbacks: jax.Array
    skipped: jax.Array

    @property
    def best_params(self) -> Tree:
        """The parameters to validate and to ship: the moving average if there is one."""
        return self.params if self.ema is None else self.ema


def initial_state(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    pca_basis: jax.typing.ArrayLike | None = None,
    *,
    with_ema: bool,
) -> TrainState:
    """The state before the first step.

    Args:
      module: the network.
      optimizer: the optax optimiser.
      key: PRNG key for the parameters.
      pca_basis: [K², L], for networks that use one.
      with_ema: whether to keep a moving average of the parameters.
    """
    variables = init_variables(module, key, pca_basis)
    params = stack_chains(variables["params"])
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        constants=variables["constants"],
        opt_state=optimizer.init(params),
        ema=jax.tree.map(jnp.copy, params) if with_ema else None,
        bad_steps=jnp.zeros((), jnp.int32),
        bad_in_a_row=jnp.zeros((), jnp.int32),
        rollbacks=jnp.zeros((), jnp.int32),
        skipped=jnp.zeros((), jnp.int32),
    )


def create_state(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    pca_basis: jax.typing.ArrayLike | None,
    *,
    with_ema: bool,
    sharding: jax.sharding.Sharding,
) -> TrainState:
    """``initial_state`` under jit, which creates every array on its devices with the given sharding."""
    create = functools.partial(initial_state, module, optimizer, with_ema=with_ema)
    return jax.jit(create, out_shardings=sharding)(key, pca_basis)
