"""What happens when updates are no longer finite: stop with advice, or go back and take another way."""

from __future__ import annotations

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
    """The state to go on from after a divergence: the last good checkpoint's, or the first of all, and other batches.

    The state remembers how many batches are left out, so that a resumed run sees the same ones. A run that is killed
    before its next checkpoint diverges and comes back once more, in the same way.

    Args:
      config: of the run.
      mesh: of the run.
      state: the diverged one, which may be a step ahead.
      step: at which it counted as diverged.
      checkpoints: of the run; those of the diverged part are deleted.

    Raises:
      Diverged: the config says so, or it was tried often enough.
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
    return good.replace(
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
