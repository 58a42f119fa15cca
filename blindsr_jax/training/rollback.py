"""Handling of divergence: stop with advice, or roll back to a checkpoint and continue with other batches."""

from __future__ import annotations

import dataclasses
import logging
import typing

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


class Divergence(typing.NamedTuple):
    """A step at which a run counts as diverged, and the reason.

    Attributes:
      step: the step at which the run counted as diverged.
      why: half a sentence for messages.
      sound_step: the newest step whose checkpoint may be used; None for all whose last update was finite.
    """

    step: int
    why: str
    sound_step: int | None = None


def not_finite(config: ConfigDict, step: int) -> Divergence:
    """The divergence of a run whose last updates had a loss or gradient that was not finite, and were skipped."""
    return Divergence(step, f"the last {config.max_bad_steps} updates were not finite")


def roll_back(
    config: ConfigDict, mesh: Mesh, state: TrainState, divergence: Divergence, checkpoints: Checkpoints
) -> TrainState:
    """The state to continue from after a divergence: that of the last good checkpoint, or the initial one.

    The state counts the batches that are skipped, so a resumed run sees the same batches. A run that is killed before
    its next checkpoint diverges again and rolls back in the same way.

    Args:
      config: config of the run.
      mesh: mesh of the run.
      state: the diverged state, which may be one step ahead.
      divergence: what went wrong.
      checkpoints: checkpoints of the run; those after the good one are deleted.

    Raises:
      Diverged: the config says to stop, or no rollback is left.
    """
    rollbacks = int(state.rollbacks) + 1
    if config.on_divergence == "stop" or rollbacks > config.rollbacks:
        raise Diverged(_advice(checkpoints, divergence, rollbacks - 1))
    step = divergence.step
    good = checkpoints.restore_good(abstract_state(config, mesh), divergence.sound_step)
    good = state_of(config, mesh) if good is None else good
    skipped = step + int(state.skipped) + config.skip_batches - int(good.step)
    log.warning(
        "step %d: %s; going back to step %d and leaving out %d batches (%d of at most %d times)",
        *(step, divergence.why, int(good.step), skipped - int(good.skipped), rollbacks, config.rollbacks),
    )
    return dataclasses.replace(
        good,
        rollbacks=jax.device_put(np.int32(rollbacks), replicated(mesh)),
        skipped=jax.device_put(np.int32(skipped), replicated(mesh)),
    )


def _advice(checkpoints: Checkpoints, divergence: Divergence, rollbacks: int) -> str:
    saved = checkpoints.latest_step
    tried = f"with other batches too, {rollbacks} times, " if rollbacks else ""
    return (
        f"step {divergence.step}: {tried}{divergence.why}; stopping. The newest checkpoint is of "
        f"{'no step yet' if saved is None else f'step {saved}'}. Lower optimizer.learning_rate, set "
        "optimizer.clip_norm (1.0 is usual), or look at the data; then run again"
    )
