"""What a run leaves: bundle, report, panel and a restored photograph, all from its best checkpoint."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
import typing

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from blindsr_jax import config as config_lib
from blindsr_jax.errors import DataError
from blindsr_jax.evaluation.panel import unfolding_panel
from blindsr_jax.evaluation.report import summarise, write_report
from blindsr_jax.evaluation.run import evaluate, make_lr, prepare_hr
from blindsr_jax.files import atomic_path
from blindsr_jax.inference.image_io import ImageFile, write_image
from blindsr_jax.inference.model import Model, from_bundle
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.training.checkpoints import Checkpoints
from blindsr_jax.training.setup import network_of, state_of, validation_of
from blindsr_jax.training.sharding import data_mesh
from blindsr_jax.training.state import TrainState
from blindsr_jax.weights.bundle import Bundle, save_bundle

log = logging.getLogger(__name__)


def bundle_of(config: ConfigDict, state: TrainState, **metadata: typing.Any) -> Bundle:
    """The shippable part of a state: parameters (averaged, if so configured), constants and where they come from."""
    variables = {"params": state.best_params, "constants": state.constants}
    source = {"config": config.to_dict(), "config_hash": config_lib.config_hash(config), "steps": int(state.step)}
    return Bundle(
        jax.tree.map(np.asarray, variables),
        config_lib.model_sizes(config),
        {
            "protocol": f"{config.degradation.kernel} kernels, {config.degradation.downsample}",
            "source": source,
            **metadata,
        },
    )


def best_state(config: ConfigDict, workdir: str | os.PathLike) -> TrainState:
    """The best validated checkpoint of a run, or its newest if none was validated.

    Raises:
      DataError: there is no checkpoint.
    """
    missing = DataError(f"{workdir}: no checkpoint here yet; train first")
    if not (pathlib.Path(workdir) / "checkpoints").is_dir():
        raise missing
    with Checkpoints(workdir, config.checkpoint.keep) as checkpoints:
        step = checkpoints.best_step
        if step is None:
            raise missing
        return checkpoints.restore(step, state_of(config, data_mesh()))


def write_results(config: ConfigDict, workdir: str | os.PathLike) -> dict[str, typing.Any]:
    """Evaluates the best checkpoint in full and writes everything that a run leaves.

    In the workdir: ``model.safetensors``; ``report.md``, ``.csv`` and ``.json``; ``panel.png``; and below ``restored``
    one validation photograph as LR, bicubic and restored.

    Args:
      config: of the run.
      workdir: of the run.

    Returns:
      The summary that ``report.json`` holds.

    Raises:
      DataError: there is no checkpoint, or a file cannot be written.
    """
    workdir = pathlib.Path(workdir)
    state = best_state(config, workdir)
    bundle = bundle_of(config, state)
    model = from_bundle(bundle)
    source, protocol = validation_of(config)
    log.info("evaluating step %d: %s, ×%d, %d images", int(state.step), protocol.name, protocol.scale, len(source))
    rows = evaluate(
        model, source, protocol, progress=lambda pairs, total: tqdm(pairs, "evaluating", total, unit="image")
    )
    summary = summarise(
        rows,
        protocol=protocol.name,
        scale=protocol.scale,
        model=config.model.name,
        parameters=model.parameters,
        steps=int(state.step),
        bad_steps=int(state.bad_steps),
        config_hash=config_lib.config_hash(config),
        data=f"{config.validation.source} {config.validation.root}".strip(),
    )
    write_report(workdir, rows, summary)
    scores = {"validation": summary["psnr_y"]}
    save_bundle(
        workdir / "model.safetensors", dataclasses.replace(bundle, metadata=bundle.metadata | {"scores": scores})
    )
    write_pictures(model, source.read(0), protocol, workdir)
    return summary


def write_pictures(model: Model, hr: np.ndarray, protocol: typing.Any, workdir: pathlib.Path) -> None:
    """``panel.png`` and the folder ``restored``, for one HR image at the middle width of the protocol."""
    case = protocol.cases[len(protocol.cases) // 2]
    with atomic_path(workdir / "panel.png") as temporary:
        unfolding_panel(model, hr, protocol, case).save(temporary)
    lr = make_lr(prepare_hr(hr, protocol.scale), protocol, case)
    write_image(workdir / "restored" / "lr.png", ImageFile(lr))
    write_image(workdir / "restored" / "sr.png", ImageFile(restore_image(model, lr).image))


def model_of_state(config: ConfigDict, state: TrainState) -> Model:
    """A callable model of a state in training, for validation."""
    return Model(network_of(config), {"params": state.best_params, "constants": state.constants})
