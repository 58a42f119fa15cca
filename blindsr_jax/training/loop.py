"""The training loop, with its checkpoints, validation scores and pictures."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pathlib
import typing

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict
from PIL import Image

from blindsr_jax import config as config_lib
from blindsr_jax.data.sources import Source
from blindsr_jax.data.tensorflow import import_tensorflow
from blindsr_jax.evaluation.methods import Methods
from blindsr_jax.evaluation.panel import draw_panel
from blindsr_jax.evaluation.protocols import Protocol
from blindsr_jax.evaluation.report import headline, score_of, summarise
from blindsr_jax.evaluation.run import evaluate
from blindsr_jax.evaluation.samples import SyntheticTests
from blindsr_jax.files import atomic_path
from blindsr_jax.hosts import all_or_none, is_first, noticing_losses
from blindsr_jax.inference.loading import model_of
from blindsr_jax.training.checkpoints import Checkpoints
from blindsr_jax.training.interrupt import StopRequest, put_request, request_of_all, saved_error
from blindsr_jax.training.results import as_scored, first_readable
from blindsr_jax.training.rising_loss import RisingLoss
from blindsr_jax.training.rollback import Divergence, not_finite, roll_back
from blindsr_jax.training.run_log import RunLog
from blindsr_jax.training.setup import (
    abstract_state,
    batches_of,
    state_of,
    training_source,
    updates_of,
    validation_of,
)
from blindsr_jax.training.sharding import check_batch_size, connect, data_mesh, on_one_device, put_batch
from blindsr_jax.training.state import TrainState
from blindsr_jax.training.watchdog import Watchdog
from blindsr_jax.training.workdir import alone_in, claim_workdir

log = logging.getLogger(__name__)


def train(config: ConfigDict, workdir: str | os.PathLike) -> TrainState:
    """Train to ``config.steps``, from the newest checkpoint of the workdir or from the start.

    On several hosts all processes must call it together, with one workdir on a shared file system.

    Args:
      config: a validated config.
      workdir: folder for checkpoints, logs and pictures. The workdir of another model is refused.

    Returns:
      The final state, which has been saved.

    Raises:
      Interrupted: Ctrl-C on any host, after the state was saved; Preempted for SIGTERM.
      Diverged: ``config.max_bad_steps`` updates in a row were not finite, or the loss rose beyond
        ``config.max_rise``, and no rollback is left.
      DataError: there are no images or no space on the disk, or another training runs in the workdir.
      WeightsError: as ``started_from``.
      ConfigError: as ``started_from``, or the workdir belongs to another model.
      HostLost: another host is lost.
    """
    import_tensorflow()
    mesh = data_mesh()
    with all_or_none():
        check_batch_size(mesh, config.data.batch_size, config.accumulate)
        validation = Validation(config, workdir, *validation_of(config))
        source = training_source(config)
    connect(mesh)
    with (
        alone_in(workdir),  # after the checks above, so that a mistake or a missing library leaves no workdir behind
        StopRequest() as stop,
        _claimed(config, workdir) as checkpoints,
        noticing_losses(),
    ):
        state = checkpoints.restore_newest(abstract_state(config, mesh))
        if state is None:
            with all_or_none():
                state = state_of(config, mesh)
        if int(state.step) >= config.steps:
            log.info("%s is trained to step %d already; config.steps=N goes on", workdir, int(state.step))
            return state
        _announce(config, source, state, mesh, workdir)
        with (
            RunLog(workdir, int(state.step), config.steps, config_lib.flat(config)) as run_log,
            Watchdog(config.watchdog_seconds) as watchdog,
        ):
            run = _Run(config, mesh, source, validation, checkpoints, run_log, stop, watchdog)
            return run.to_the_end(state)


def _claimed(config: ConfigDict, workdir: str | os.PathLike) -> Checkpoints:
    """The checkpoints of a workdir that is empty or belongs to this run."""
    claim_workdir(config, workdir)
    return Checkpoints(workdir, config.checkpoint.keep)


def _announce(config: ConfigDict, source: Source, state: TrainState, mesh: Mesh, workdir: str | os.PathLike) -> None:
    size = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    scales = ", ".join(f"×{scale}" for scale in config_lib.scales_of(config))
    network = f"{config.model.name} {scales}, {size:,} parameters"
    devices = f"{mesh.size} device(s)" + (f" of {jax.process_count()} processes" if jax.process_count() > 1 else "")
    log.info("%s, on %d images and %s, in %s", network, len(source), devices, workdir)
    if int(state.step):
        log.info("going on from step %d of %d", int(state.step), config.steps)


def rising_loss_of(config: ConfigDict, start: int) -> RisingLoss:
    """Return the watch over a run's losses from a step on; runs of earlier versions are not watched."""
    return RisingLoss(config.get("max_rise", 0.0), config.get("rise_steps", 1), start)


class Validation:
    """Score a state on held-out images and draw a panel.

    Args:
      config: config of the run.
      workdir: panels are written to its folder ``panels``.
      source: held-out HR images.
      protocol: the full protocol; ``config.validation.widths`` may select a part of it.
    """

    def __init__(self, config: ConfigDict, workdir: str | os.PathLike, source: Source, protocol: Protocol):
        self._config, self._options = config, config.validation
        self._source, self._network = source, config_lib.network_of(config)
        self._panels = pathlib.Path(workdir) / "panels"
        self._protocol = protocol.subset(config.validation.widths)

    def __call__(self, state: TrainState, run_log: RunLog) -> float | None:
        """Write a state's scores and panel and return its score; higher is better. All processes call it together."""
        step, options = int(state.step), self._options
        variables = on_one_device({"params": state.best_params, "constants": state.constants})
        model = as_scored(self._config, model_of(self._network, variables))
        tests = SyntheticTests(self._source, self._protocol, limit=options.images, crop=options.crop)
        rows = evaluate(model, tests, Methods.of(model), failures=[])
        summary = summarise(rows, protocol=self._protocol.name, scale=self._protocol.scale)
        others = list(summary.get("methods", {}).items())[1:]
        scores = summary | {f"{name.replace(' ', '_')}_l1": means["kernel_l1"] for name, means in others}
        run_log.scalars(step, {f"validation/{k}": v for k, v in scores.items() if isinstance(v, float)})
        log.info("step %d, %s", step, headline(summary))
        with all_or_none():
            if is_first():
                picture = draw_panel(model, first_readable(self._source), self._protocol)
                self._save(picture, step)
                run_log.image(step, "panel", np.asarray(picture))
        return score_of(summary)

    def _save(self, picture: Image.Image, step: int) -> None:
        with atomic_path(self._panels / f"step_{step:07d}.png") as temporary:
            picture.save(temporary)


@dataclasses.dataclass
class _Run:
    """A run in progress, with the objects that its steps use."""

    config: ConfigDict
    mesh: Mesh
    source: Source
    validation: Validation
    checkpoints: Checkpoints
    run_log: RunLog
    stop: StopRequest
    watchdog: Watchdog

    def to_the_end(self, state: TrainState) -> TrainState:
        """Train until the last step, an interrupt or a divergence; roll back where the config allows it."""
        step, bad = int(state.step), int(state.bad_in_a_row)
        diverged = not_finite(self.config, step) if bad >= self.config.max_bad_steps else None
        while True:
            if diverged is not None:
                state = roll_back(self.config, self.mesh, state, diverged, self.checkpoints)
                self.run_log.back_to(int(state.step))
            state, diverged = self._steps(state)
            if diverged is None:
                self.checkpoints.wait()
                self.run_log.flush()
                return state

    def _steps(self, state: TrainState) -> tuple[TrainState, Divergence | None]:
        """Step until the end of the run or a divergence. Returns the state and the divergence, or None.

        The metrics of a step are read while the next one computes.
        """
        config, start = self.config, int(state.step)
        update_of, rising = updates_of(config, self.mesh), rising_loss_of(config, start)
        previous: dict[str, typing.Any] = {}
        # Closed in any case: while TensorFlow's threads wait for the next batch to be fetched, the process cannot end.
        with contextlib.closing(batches_of(config, self.source, start + int(state.skipped))) as batches:
            for step in range(start + 1, config.steps + 1):
                request = put_request(self.mesh, self.stop.received)
                state, metrics = update_of(step)(state, put_batch(self.mesh, next(batches)), request)
                values, previous = jax.device_get(previous), metrics
                answer = values.pop("stop", None)
                self.run_log.step(values)
                if values:
                    self.watchdog.finished(step - 1)
                if values.get("bad_in_a_row", 0) >= config.max_bad_steps:
                    return state, not_finite(config, step - 1)
                if values and rising.is_seen(step - 1, values["loss"]):
                    why = f"the loss has risen to {rising.rise:.1f} times its lowest"
                    return state, Divergence(step - 1, why, rising.sound_step)
                if step - 1 in config_lib.stage_ends(config):
                    rising.forget()
                self._after(step, state, answer)
        return state, None

    def _after(self, step: int, state: TrainState, answer: np.ndarray | None) -> None:
        """Write the logs, scores and checkpoints that are due. Raises Interrupted if a stop was requested."""
        config, last = self.config, step == self.config.steps
        if step % config.log_every == 0 or last:
            self.run_log.training(step)
        with self.watchdog.resting():
            score = None
            if step % config.validation.every == 0 or last:
                score = self.validation(state, self.run_log)
            signal_name = request_of_all(self.stop.received, answer)  # read once: a signal can arrive at any time
            if score is not None or step % config.checkpoint.every == 0 or signal_name:
                self.checkpoints.save(state, score)
            if signal_name and not last:
                self.checkpoints.wait()
                raise saved_error(signal_name, step)
