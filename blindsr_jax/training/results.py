"""Results of a run's best checkpoint: bundle, report, panel and, if the model restores, a restored photograph."""

from __future__ import annotations

import logging
import os
import pathlib
import typing

import jax
import numpy as np
from ml_collections import ConfigDict

import blindsr_jax
from blindsr_jax import config as config_lib
from blindsr_jax.data.sources import Source
from blindsr_jax.degradations.kernels import isotropic_gaussian
from blindsr_jax.degradations.pools import best_gaussian
from blindsr_jax.errors import DataError
from blindsr_jax.evaluation.machine import machine
from blindsr_jax.evaluation.methods import Methods
from blindsr_jax.evaluation.panel import draw_panel
from blindsr_jax.evaluation.protocols import Protocol
from blindsr_jax.evaluation.report import summarise, write_report
from blindsr_jax.evaluation.run import evaluate, fixed_kernel_rows
from blindsr_jax.evaluation.samples import SyntheticTests, synthetic_sample
from blindsr_jax.evaluation.scores import Row
from blindsr_jax.files import atomic_path
from blindsr_jax.hosts import all_or_none, is_first
from blindsr_jax.images.reading import ImageFile
from blindsr_jax.images.writing import write_image
from blindsr_jax.inference.loading import from_bundle
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.restorer import Restorer
from blindsr_jax.inference.solver import Solver
from blindsr_jax.training.checkpoints import Checkpoints
from blindsr_jax.training.kernels import pools_of
from blindsr_jax.training.setup import abstract_state, validation_of
from blindsr_jax.training.sharding import data_mesh
from blindsr_jax.training.state import TrainState
from blindsr_jax.training.workdir import check_same_run, recorded_config
from blindsr_jax.weights.bundle import Bundle, save_bundle

log = logging.getLogger(__name__)


def bundle_of(config: ConfigDict, state: TrainState, scores: dict[str, float] | None = None) -> Bundle:
    """The bundle of a state: parameters (the average if there is one), constants, and the recipe that made them."""
    variables = {"params": state.best_params, "constants": state.constants}
    source = {
        "config": config_lib.recipe(config),
        "config_hash": config_lib.config_hash(config),
        "steps": int(state.step),
        "blindsr_jax": blindsr_jax.__version__,
    }
    metadata = {
        "protocol": f"{config.degradation.kernel} kernels, {config.degradation.downsample}",
        "source": source,
        "scores": scores or {},
    }
    return Bundle(jax.tree.map(np.asarray, variables), config_lib.model_sizes(config), metadata)


def as_scored(config: ConfigDict, model: Model | Solver) -> Restorer:
    """The model of a run as it is scored: a solver works at the validation scale with circular borders."""
    return model.at_scale(config.model.scale).with_border("circular")


def best_state(config: ConfigDict, workdir: str | os.PathLike) -> TrainState:
    """The checkpoint with the best validation score, or the newest if none has a score. Leaves the workdir unchanged.

    If it is damaged, a warning is logged and the newest readable one is used.

    Raises:
      DataError: there is no checkpoint, or none can be read.
    """
    with Checkpoints(workdir, read_only=True) as checkpoints:
        state = checkpoints.restore_best(abstract_state(config, data_mesh()))
    if state is None:
        raise DataError(f"{workdir}: no checkpoint here yet; train first")
    return state


def evaluated_config(config: ConfigDict, workdir: str | os.PathLike) -> ConfigDict:
    """The run's recorded config, with the validation section (and, for multi-scale networks, the scale) of ``config``.

    Raises:
      ConfigError: ``config`` describes another network.
      DataError: the workdir has no run.
    """
    check_same_run(config, workdir)
    recorded = ConfigDict(recorded_config(workdir))
    recorded.validation = config.validation
    if config_lib.network_of(config).scales:
        recorded.model.scale = config.model.scale
    return recorded


def write_results(config: ConfigDict, workdir: str | os.PathLike) -> dict[str, typing.Any]:
    """Evaluate the best checkpoint in full and write the results. All processes call it together; process 0 writes.

    The workdir gets ``model.safetensors``, ``report.md``, ``report.csv``, ``report.json`` and ``panel.png``. For models
    that restore, the folder ``restored`` gets one validation photograph as LR and SR image. The report of a model that
    only estimates kernels also scores the best fixed Gaussian of its training kernels.

    Args:
      config: config of the run.
      workdir: folder of the run.

    Returns:
      The summary in ``report.json``.

    Raises:
      DataError: there is no checkpoint, or a file cannot be written.
    """
    workdir = pathlib.Path(workdir)
    state = best_state(config, workdir)
    model = as_scored(config, from_bundle(bundle_of(config, state)))
    source, protocol = validation_of(config)
    log.info("evaluating step %d: %s, ×%d, %d images", int(state.step), protocol.name, protocol.scale, len(source))
    failures: list[str] = []
    tests = SyntheticTests(source, protocol)
    rows = evaluate(model, tests, Methods.of(model), failures=failures, bar="evaluating")
    if not model.restores:
        rows += _rows_of_best_gaussian(config, rows, protocol)
    data = pathlib.Path(config.validation.root).name if config.validation.source == "folder" else "sample"
    summary = summarise(
        rows,
        protocol=protocol.name,
        scale=protocol.scale,
        model=config.model.name,
        parameters=model.parameters,
        steps=int(state.step),
        bad_steps=int(state.bad_steps),
        config_hash=config_lib.config_hash(config),
        data=data,
        unreadable=len(failures),
        **machine(),
    )
    with all_or_none():
        if is_first():
            _write(config, state, model, rows, summary, workdir)
            write_pictures(model, first_readable(source), protocol, workdir)
    return summary


def _write(
    config: ConfigDict,
    state: TrainState,
    model: Restorer,
    rows: list[Row],
    summary: dict[str, typing.Any],
    workdir: pathlib.Path,
) -> None:
    """Write the report, and the bundle with its score."""
    write_report(workdir, rows, summary)
    scale = f" ×{summary['scale']}" if model.needs_kernel else ""
    scored = f"{summary['protocol']}{scale}, {summary['data']}"
    scores = {scored: summary["psnr_y"]} if model.restores else {f"kernel l1, {scored}": summary["kernel_l1"]}
    save_bundle(workdir / "model.safetensors", bundle_of(config, state, scores))


def _rows_of_best_gaussian(config: ConfigDict, rows: list[Row], protocol: Protocol) -> list[Row]:
    """Scores of the Gaussian that fits the training kernels best, used for every image (KernelNet, table 2)."""
    train = pools_of(config).train
    width = best_gaussian(train)
    kernel = np.asarray(isotropic_gaussian(width, train.shape[-1]))
    return fixed_kernel_rows(rows, protocol, kernel, f"fixed Gaussian σ={width:.2f}")


def first_readable(source: Source) -> np.ndarray:
    """The first image of a source that can be decoded. Raises DataError if none can."""
    for index in range(len(source)):
        try:
            return source.read(index)
        except DataError as error:
            last = error
    raise last


def write_pictures(model: Restorer, hr: np.ndarray, protocol: Protocol, workdir: pathlib.Path) -> None:
    """Write ``panel.png`` and, if the model restores, ``restored``, for one HR image at the protocol's middle case."""
    with atomic_path(workdir / "panel.png") as temporary:
        draw_panel(model, hr, protocol).save(temporary)
    if not model.restores:
        return
    case = protocol.cases[len(protocol.cases) // 2]
    sample = synthetic_sample("restored", hr, protocol, case)
    write_image(workdir / "restored" / "lr.png", ImageFile(sample.lr))
    kernel = sample.kernel if model.needs_kernel else None
    write_image(workdir / "restored" / "sr.png", ImageFile(model.restore(sample.lr, kernel=kernel)))
