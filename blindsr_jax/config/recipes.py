"""Recipes of the networks: changes of the settings that all share."""

from __future__ import annotations

import typing

from ml_collections import ConfigDict

from blindsr_jax.config.model_section import DRAWN_SIZE
from blindsr_jax.papers import SETTING2_SIZE, SETTING2_WIDTHS

# KernelNet's patches by scale: about 512 HR pixels.
_KERNELNET_PATCH = {2: 256, 3: 170, 4: 128}
# Steps of KernelNet's two stages by scale: the paper's epochs (sections 4.1 to 4.3), in updates at its batch sizes.
_KERNELNET_STEPS = {2: (16_000, 6_000), 3: (10_500, 8_000), 4: (10_500, 8_000)}


def _use_recipe_of_dan_lite(config: ConfigDict) -> None:
    """Our recipe for an hour on a CPU: small batches, a high learning rate with cosine decay, averaged parameters."""
    config.steps = 15_000
    config.data.batch_size, config.data.patch = 8, 32
    options = config.optimizer
    options.learning_rate = options.estimator_learning_rate = 1.5e-3
    options.schedule, options.warmup = "cosine", 200
    options.clip_norm, options.ema_decay = 1.0, 0.999
    config.checkpoint.every = 500
    config.validation.every, config.validation.widths, config.validation.crop = 2_500, 2, 384


def _use_recipe_of_dssr(config: ConfigDict) -> None:
    config.steps = 480_000
    config.data.batch_size = 8
    config.optimizer.halve_every = 80_000
    config.optimizer.estimator_learning_rate = config.optimizer.learning_rate  # unused; recorded configs have it


def _use_recipe_of_dcls(config: ConfigDict) -> None:
    """The authors' recipe, and what keeps it from collapsing, which is ours: warm-up, clipping and rollbacks.

    Rollbacks follow a rising loss too, in warm-up and after it: a median over 100 updates above three times the lowest
    one so far. The authors go back where the validation falls below 20 dB.
    """
    config.steps = 500_000
    options = config.optimizer
    options.learning_rate = options.estimator_learning_rate = 4e-4
    options.halve_every = 200_000
    options.warmup, options.clip_norm = 2_000, 1.0
    config.on_divergence, config.max_rise = "rollback", 3.0


def _use_recipe_of_ikc(config: ConfigDict) -> None:
    """The authors' recipe, but for the schedule of the first stage and the optimiser steps of the second."""
    config.steps = config.model.sftmd_steps + 5_000
    config.data.batch_size = 32
    config.degradation.sigma = (0.2, 4.0)
    options = config.optimizer
    options.learning_rate = options.predictor_learning_rate = options.estimator_learning_rate = 1e-4
    options.halve_every = 125_000


def _use_recipe_of_kerneldan(config: ConfigDict) -> None:
    """The authors' recipe: 16 patches on each of three GPUs at ×2, of four at ×4. That of ×3 is ours."""
    scale = config.model.scale
    config.steps = 600_000
    config.degradation.sigma, config.degradation.kernel_size = SETTING2_WIDTHS, SETTING2_SIZE[scale]
    config.data.batch_size, config.data.patch = 48 if scale == 2 else 64, 48
    options = config.optimizer
    options.b2 = 0.999
    options.halve_at = (200_000, 400_000) if scale == 2 else (300_000, 500_000)
    options.ema_decay = 0.0 if scale == 2 else 0.999


def _use_recipe_of_realdan(config: ConfigDict) -> None:
    """KernelDAN's recipe on RealDAN's degradation. The authors' GAN stage that follows is left out."""
    _use_recipe_of_kerneldan(config)
    config.degradation.steps, config.degradation.kernel_size = "realdan(sinc_radius='squared')", DRAWN_SIZE


def _use_recipe_of_kernelnet(config: ConfigDict) -> None:
    scale = config.model.scale
    config.model.gradient_steps, rest = _KERNELNET_STEPS[scale]
    config.steps = config.model.gradient_steps + rest
    config.data.batch_size, config.data.patch = 48, _KERNELNET_PATCH[scale]
    config.optimizer.learning_rate = config.optimizer.refinement_learning_rate = 1e-4
    config.checkpoint.every = config.validation.every = 1_000


def _use_recipe_of_usrnet(config: ConfigDict) -> None:
    """The recipe of the authors' code where it is more specific than the paper; the number of steps is ours."""
    config.steps = 500_000
    config.data.batch_size, config.data.patch = 48, 96 // config.model.scale
    config.optimizer.learning_rate, config.optimizer.b2 = 1e-4, 0.999


RECIPES: dict[str, typing.Callable[[ConfigDict], None]] = {
    "dan_lite": _use_recipe_of_dan_lite,
    "dcls": _use_recipe_of_dcls,
    "dssr": _use_recipe_of_dssr,
    "ikc": _use_recipe_of_ikc,
    "kerneldan": _use_recipe_of_kerneldan,
    "kernelnet": _use_recipe_of_kernelnet,
    "realdan": _use_recipe_of_realdan,
    "usrnet": _use_recipe_of_usrnet,
}
# DANv1 that a CPU trains in an hour: 0.59 M parameters at ×4.
DAN_LITE = {
    "features": 48,
    "blocks": 8,
    "upsampler": "single",
    "skip": "bicubic",
    "iterations": 3,
    "estimator_features": 24,
    "estimator_blocks": 3,
}
