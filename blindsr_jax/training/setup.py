"""Builders of a run's objects from its config: network, optimiser, state, training stages, patches, validation set."""

from __future__ import annotations

import dataclasses
import functools
import typing

import jax
import numpy as np
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from blindsr_jax import config as config_lib
from blindsr_jax.data.pipeline import PatchSampler, patch_batches
from blindsr_jax.data.sources import Source, open_source
from blindsr_jax.degradations.notation import steps_from_text
from blindsr_jax.degradations.orders import classic
from blindsr_jax.degradations.pipeline import basis_for, kernels_in, named_kernels
from blindsr_jax.degradations.size_steps import Downsample
from blindsr_jax.degradations.steps import Steps
from blindsr_jax.errors import ConfigError
from blindsr_jax.evaluation.protocols import Protocol, photo, validation_protocol
from blindsr_jax.losses import LOSSES, Loss
from blindsr_jax.training.kernels import held_out_protocol, pools_of
from blindsr_jax.training.optimizer import make_optimizer, restarting_schedule
from blindsr_jax.training.sharding import replicated
from blindsr_jax.training.start import started_from
from blindsr_jax.training.state import TrainState, create_state, initial_state
from blindsr_jax.training.step import Stage, TrainStep, make_train_step, scale_of_step


def optimizer_of(config: ConfigDict) -> optax.GradientTransformation:
    """The optimiser of a config."""
    network, ends = config_lib.network_of(config), config_lib.stage_ends(config)
    options, groups = config.optimizer, network.optimizer_groups
    # Both groups are there for every network: checkpoints have them.
    peaks = {"restorer": options.learning_rate, "estimator": options.learning_rate}
    peaks |= {group: options[f"{part}_learning_rate"] for part, group in groups.items()}
    first = network.first_stage.groups if network.first_stage else ()
    rates = {
        name: restarting_schedule(
            peak,
            ends,
            trained=len(ends) - 1 if name in first else None,
            schedule=options.schedule,
            halve_every=options.halve_every,
            halve_at=options.get("halve_at", ()),  # older runs have none
            warmup=options.warmup,
        )
        for name, peak in peaks.items()
    }
    kind = options.get("kind", "adam")  # older runs have no kind
    return make_optimizer(rates, groups, kind=kind, b1=options.b1, b2=options.b2, clip_norm=options.clip_norm)


def state_of(config: ConfigDict, mesh: Mesh) -> TrainState:
    """The initial state of a run on its devices, warm-started if ``config.start_from`` is set.

    Raises:
      WeightsError, ConfigError: as ``started_from``.
    """
    network = config_lib.network_of(config)
    basis = _basis_of(config, network.code_basis_length) if network.code_basis_length else None
    state = create_state(
        network,
        optimizer_of(config),
        _parameter_key(config),
        basis,
        with_ema=config.optimizer.ema_decay > 0,
        sharding=replicated(mesh),
    )
    return started_from(state, config.start_from, getattr(network, "scale", None)) if config.start_from else state


def abstract_state(config: ConfigDict, mesh: Mesh) -> TrainState:
    """The shapes, types and shardings of the state of a run, as the target for restoring a checkpoint."""
    shapes = jax.eval_shape(
        functools.partial(
            initial_state, config_lib.network_of(config), optimizer_of(config), with_ema=config.optimizer.ema_decay > 0
        ),
        _parameter_key(config),
    )
    sharding = replicated(mesh)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)


def _parameter_key(config: ConfigDict) -> jax.Array:
    # Initialisation draws hundreds of small arrays. With threefry, JAX's default, it takes most of a minute to compile.
    return jax.random.key(config.seed, impl="rbg")


def stages_of(config: ConfigDict) -> list[Stage]:
    """The training stages of a config: two for KernelNet and IKC, one for all other networks.

    Raises:
      DataError, ConfigError: as ``pools_of``.
    """
    ends = config_lib.stage_ends(config)
    pool = pools_of(config).train if config.degradation.kernel == "pool" else None
    supervise = config.model.get("supervise", "last")
    scales = config_lib.scales_of(config)
    last = Stage(
        until=ends[-1],
        scales=scales,
        degradation=steps_of(config),
        kernel_size=config.degradation.kernel_size,
        loss=loss_of(config),
        supervise=supervise,
        pool=pool,
        recompute=config.recompute,
        precision=config.precision,
        accumulate=config.accumulate,
    )
    first = config_lib.network_of(config).first_stage
    if first is None or len(ends) == 1:
        return [last]
    degradation = tuple(
        Downsample(first.downsample) if isinstance(step, Downsample) else step for step in last.degradation
    )
    loss, seen = LOSSES[first.supervision], first.supervise or supervise
    return [dataclasses.replace(last, until=ends[0], degradation=degradation, loss=loss, supervise=seen), last]


def updates_of(config: ConfigDict, mesh: Mesh) -> typing.Callable[[int], TrainStep]:
    """Map the number of a step, from 1, to the update of its stage and scale. Each update is compiled at first use.

    Raises:
      DataError, ConfigError: as ``pools_of``.
    """
    stages, module, optimizer = stages_of(config), config_lib.network_of(config), optimizer_of(config)

    @functools.cache
    def update(until: int, scale: int) -> TrainStep:
        stage = next(stage for stage in stages if stage.until == until)
        options = {"seed": config.seed, "scale": scale, "ema_decay": config.optimizer.ema_decay}
        return make_train_step(module, optimizer, mesh, stage, **options)

    def update_of(step: int) -> TrainStep:
        stage = next(stage for stage in stages if step <= stage.until)
        return update(stage.until, scale_of_step(config.seed, step, stage.scales))

    return update_of


def loss_of(config: ConfigDict) -> Loss:
    """The loss of a config's network, with the configured weights. If there are several stages, that of the last."""
    network = config_lib.network_of(config)
    loss = LOSSES[network.supervision]
    weights = {name: config.model[name] for name in config_lib.loss_weights(network)}
    return functools.partial(loss, **weights) if weights else loss


def steps_of(config: ConfigDict) -> Steps:
    """The degradation steps that make LR images. If there are several stages, those of the last.

    Raises:
      ConfigError: ``config.degradation`` names an unknown step or option.
    """
    options, scale = config.degradation, config.model.scale
    try:
        if options.get("steps", ""):
            return steps_from_text(options.steps, scale)
        drawn = {name: options[name] for name in ("sigma", "multiplicative_noise", "isotropic_rate") if name in options}
        return classic(
            scale,
            kernels=named_kernels(options.kernel, **drawn),
            downsample=options.downsample,
            blur_mode=options.get("blur_mode", "reflect"),
            noise=tuple(options.noise),
            noise_free_rate=options.get("noise_free_rate", 0.0),
            round_8bit=options.round_8bit,
        )
    except ValueError as error:
        raise ConfigError(f"config.degradation: {error}") from None


def _basis_of(config: ConfigDict, length: int) -> np.ndarray:
    """The PCA basis of the kernels that a run draws, [K², L]."""
    kernels = kernels_in(steps_of(config))
    if kernels is None:
        raise ConfigError("config.degradation.steps: a DAN learns to find blurs, but no blur(...) is among the steps")
    basis, size = (
        basis_for(length, kernels=kernels, size=config.degradation.kernel_size),
        config.degradation.kernel_size,
    )
    if len(basis) != size**2:
        side = round(len(basis) ** 0.5)
        raise ConfigError(f"config.degradation.kernel_size is {size}, but its steps blur with {side}x{side} kernels")
    return basis


def training_source(config: ConfigDict) -> Source:
    """The HR images to train on. Images smaller than a patch are left out."""
    return open_source(
        config.data.source,
        config.data.root,
        smallest=config.data.patch * config.model.scale,
        repeats=config.data.get("repeats", ()),
    )


def batches_of(config: ConfigDict, source: Source, start: int) -> typing.Generator[np.ndarray, None, None]:
    """This process's share of the HR batches, from batch ``start`` on: uint8 [B / processes, sP, sP, 3]."""
    size = config.data.patch * config.model.scale
    sampler = PatchSampler(
        source,
        size,
        seed=config.seed,
        augment=config.data.augment,
        shrink_rate=config.data.shrink_rate,
        least_detail=config.data.get("least_detail", 0.0),
        cache_bytes=config.data.cache_gib * 2**30,
    )
    return patch_batches(
        sampler,
        size=size,
        batch_size=config.data.batch_size,
        start_step=start,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        workers=config.data.workers,
    )


def validation_of(config: ConfigDict) -> tuple[Source, Protocol]:
    """The held-out images, and the protocol that scores them.

    Raises:
      DataError, ConfigError: there are no images, or as ``pools_of``.
    """
    smallest = 16 * config.model.scale  # room for SSIM's window inside the shaved border and the blur's reflection
    source = open_source(config.validation.source, config.validation.root, split="validation", smallest=smallest)
    if config.degradation.kernel == "pool":
        return source, held_out_protocol(config)
    steps_of(config)  # checks the steps before anything is read or written
    if config.degradation.get("steps", ""):
        return source, photo(config.model.scale)
    rotated, noise = config.degradation.kernel != "isotropic", sum(config.degradation.noise) / 2
    return source, validation_protocol(config.model.scale, anisotropic=rotated, noise=noise)
