"""Handling of divergence: stop with advice, or roll back to a checkpoint and continue with other batches."""

from __future__ import annotations

import dataclasses
import logging

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from blindsr_jax.errors import Diverged
from blindsr_jax.training.checkpoints import Checkpoints
from blindsr_jax.training.setup import abstract_state, state_of
from blindsr_jax.training.sharding import replicated
from blindsr_jax.training.state import TrainState

log = logging.getLogger(__name__)


def roll_back(config: ConfigDict, mesh: Mesh, state: TrainState, step: int, checkpoints: Checkpoints) -> TrainState:
    """The state to continue from after a divergence: that of the last good checkpoint, or the initial one.

    The state counts the batches that are skipped, so a resumed run sees the same batches. A run that is killed before
    its next checkpoint diverges again and rolls back in the same way.

    Args:
      config: config of the run.
      mesh: mesh of the run.
      state: the diverged state, which may be one step ahead.
      step: the step at which the run counted as diverged.
      checkpoints: checkpoints of the run; those after the good one are deleted.

    Raises:
      Diverged: the config says to stop, or no rollback is left.
    """
    rollbacks = int(state.rollbacks) + 1
    if config.on_divergence == "stop" or rollbacks > config.rollbacks:
        raise Diverged(_advice(config, checkpoints, step, rollbacks - 1))
    good = checkpoints.restore_good(abstract_state(config, mesh))
    good = state_of(config, mesh) if good is None else good
    skipped = step + int(state.skipped) + config.skip_batches - int(good.step)
    log.warning(
        "step %d: the last %d updates were not finite; going back to step %d and leaving out %d batches (%d of at most "
        "%d times)",
        *(step, config.max_bad_steps, int(good.step), skipped - int(good.skipped), rollbacks, config.rollbacks),
    )
    return dataclasses.replace(
        good,
        rollbacks=jax.device_put(np.int32(rollbacks), replicated(mesh)),
        skipped=jax.device_put(np.int32(skipped), replicated(mesh)),
    )


def _advice(config: ConfigDict, checkpoints: Checkpoints, step: int, rollbacks: int) -> str:
    saved = checkpoints.latest_step
    tried = f"with other batches too, {rollbacks} times, " if rollbacks else ""
    return (
        f"step {step}: {tried}the last {config.max_bad_steps} updates had a loss or gradient that was not finite and "
        f"were skipped; stopping. The newest checkpoint is of {'no step yet' if saved is None else f'step {saved}'}. "
        "Lower optimizer.learning_rate, set optimizer.clip_norm (1.0 is usual), or look at the data; then run again"
    )
