"""The loop: batches in, checkpoints, scores and pictures out."""

from __future__ import annotations

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
from blindsr_jax.data.pipeline import import_tensorflow
from blindsr_jax.data.sources import Source
from blindsr_jax.errors import Diverged, Interrupted
from blindsr_jax.evaluation.panel import draw_panel
from blindsr_jax.evaluation.protocols import Protocol
from blindsr_jax.evaluation.report import headline, score_of, summarise
from blindsr_jax.evaluation.restorations import Methods
from blindsr_jax.evaluation.run import evaluate
from blindsr_jax.evaluation.trials import SyntheticTests
from blindsr_jax.files import atomic_path
from blindsr_jax.inference.loading import model_of
from blindsr_jax.training.checkpoints import Checkpoints
from blindsr_jax.training.interrupt import StopRequest
from blindsr_jax.training.results import as_scored, first_readable
from blindsr_jax.training.run_log import RunLog
from blindsr_jax.training.setup import (
    abstract_state,
    batches_of,
    claim_workdir,
    network_of,
    state_of,
    training_source,
    updates_of,
    validation_of,
)
from blindsr_jax.training.sharding import check_batch_size, data_mesh, put_batch
from blindsr_jax.training.state import TrainState

log = logging.getLogger(__name__)


def train(config: ConfigDict, workdir: str | os.PathLike) -> TrainState:
    """Trains from the newest checkpoint of the workdir, or from the start, to ``config.steps``.

    Args:
      config: validated.
      workdir: where checkpoints, logs and pictures go; another model's is refused.

    Returns:
      The final state, saved.

    Raises:
      Interrupted: Ctrl-C or SIGTERM; everything is saved.
      Diverged: more non-finite updates in a row than the config allows.
      DataError: images, or room on the disk, are missing.
    """
    import_tensorflow()
    mesh = data_mesh()
    check_batch_size(mesh, config.data.batch_size, config.accumulate)
    validation = Validation(config, workdir, *validation_of(config))
    source = training_source(config)
    claim_workdir(config, workdir)  # last, so that a mistake or a missing library above leaves no trace
    with StopRequest() as stop, Checkpoints(workdir, config.checkpoint.keep) as checkpoints:
        if checkpoints.latest_step is None:
            state = state_of(config, mesh)
        else:
            state = checkpoints.restore(checkpoints.latest_step, abstract_state(config, mesh))
        if int(state.step) >= config.steps:
            log.info("%s is trained to step %d already; config.steps=N goes on", workdir, int(state.step))
            return state
        _announce(config, source, state, mesh, workdir)
        batches = batches_of(config, source, int(state.step))
        with RunLog(workdir, int(state.step), config.steps, _flat(config)) as run_log:
            return _run(config, mesh, state, batches, validation, checkpoints, run_log, stop)


def _announce(config: ConfigDict, source: Source, state: TrainState, mesh: Mesh, workdir: str | os.PathLike) -> None:
    size = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    scales = ", ".join(f"×{scale}" for scale in config_lib.scales_of(config))
    network = f"{config.model.name} {scales}, {size:,} parameters"
    log.info("%s, on %d images and %d device(s), in %s", network, len(source), mesh.size, workdir)
    if int(state.step):
        log.info("going on from step %d of %d", int(state.step), config.steps)


class Validation:
    """Scores and pictures of a state on held-out images.

    Args:
      config: of the run.
      workdir: panels go to its folder ``panels``.
      source: held-out HR images.
      protocol: the full one; the config may use a part of it while training.
    """

    def __init__(self, config: ConfigDict, workdir: str | os.PathLike, source: Source, protocol: Protocol):
        self._config, self._options = config, config.validation
        self._source, self._network = source, network_of(config)
        self._panels = pathlib.Path(workdir) / "panels"
        self._protocol = protocol.subset(config.validation.widths)

    def __call__(self, state: TrainState, run_log: RunLog) -> float | None:
        """Writes scores and a panel of this state, and returns the score: the higher, the better."""
        step, options = int(state.step), self._options
        variables = {"params": state.best_params, "constants": state.constants}
        model = as_scored(self._config, model_of(self._network, variables))
        tests = SyntheticTests(self._source, self._protocol, limit=options.images, crop=options.crop)
        rows = evaluate(model, tests, Methods.of(model), failures=[])
        summary = summarise(rows, protocol=self._protocol.name, scale=self._protocol.scale)
        others = list(summary.get("methods", {}).items())[1:]
        scores = summary | {f"{name.replace(' ', '_')}_l1": means["kernel_l1"] for name, means in others}
        run_log.scalars(step, {f"validation/{k}": v for k, v in scores.items() if isinstance(v, float)})
        log.info("step %d, %s", step, headline(summary))
        picture = draw_panel(model, first_readable(self._source), self._protocol)
        self._save(picture, step)
        run_log.image(step, "panel", np.asarray(picture))
        return score_of(summary)

    def _save(self, picture: Image.Image, step: int) -> None:
        with atomic_path(self._panels / f"step_{step:07d}.png") as temporary:
            picture.save(temporary)


def _run(
    config: ConfigDict,
    mesh: Mesh,
    state: TrainState,
    batches: typing.Iterator[np.ndarray],
    validation: Validation,
    checkpoints: Checkpoints,
    run_log: RunLog,
    stop: StopRequest,
) -> TrainState:
    """Steps until the end, an interrupt or divergence. Metrics of a step are read while the next one computes."""
    update_of = updates_of(config, mesh)
    previous: dict[str, typing.Any] | None = None
    for step in range(int(state.step) + 1, config.steps + 1):
        state, metrics = update_of(step)(state, put_batch(mesh, next(batches)))
        values = jax.device_get(previous) if previous else {}
        previous = metrics
        run_log.step(values)
        if values.get("bad_in_a_row", 0) >= config.max_bad_steps:
            raise Diverged(_divergence_message(config, checkpoints, step - 1))
        last = step == config.steps
        if step % config.log_every == 0 or last:
            run_log.training(step)
        score = validation(state, run_log) if step % config.validation.every == 0 or last else None
        signal_name = stop.received  # read once: it may arrive at any moment
        if score is not None or step % config.checkpoint.every == 0 or signal_name:
            checkpoints.save(state, score)
        if signal_name and not last:
            checkpoints.wait()
            raise Interrupted(f"{signal_name}: saved step {step}; run the same command to go on from there")
    checkpoints.wait()
    run_log.flush()
    return state


def _divergence_message(config: ConfigDict, checkpoints: Checkpoints, step: int) -> str:
    saved = checkpoints.latest_step
    return (
        f"step {step}: the last {config.max_bad_steps} updates had a loss or gradient that was not finite and were "
        f"skipped; stopping. The newest checkpoint is of {'no step yet' if saved is None else f'step {saved}'}. Lower "
        "optimizer.learning_rate, set optimizer.clip_norm (1.0 is usual), or look at the data; then run again"
    )


def _flat(config: ConfigDict) -> dict[str, typing.Any]:
    """The config as one level of names with scalar values, as hyper-parameter tables want it."""
    flat: dict[str, typing.Any] = {"config_hash": config_lib.config_hash(config)}
    for name, value in config.items():
        section = value if isinstance(value, ConfigDict) else {"": value}
        for key, item in section.items():
            flat[f"{name}.{key}".rstrip(".")] = item if isinstance(item, (int, float, str, bool)) else str(item)
    return flat
