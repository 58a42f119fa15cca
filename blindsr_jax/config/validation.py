"""``validate``, which refuses what cannot work before anything is read or written."""

from __future__ import annotations

import math
import typing

from ml_collections import ConfigDict

from blindsr_jax.config.defaults import MODEL_SECTIONS
from blindsr_jax.config.derived import scales_of
from blindsr_jax.errors import ConfigError

DATA_SOURCES = ("sample", "folder", "div2k", "shards")
DOWNSAMPLERS = ("bicubic", "s_fold")
KERNEL_KINDS = ("isotropic", "anisotropic")
PRECISIONS = ("float32", "bfloat16")
ON_DIVERGENCE = ("stop", "rollback")
RECOMPUTE = ("nothing", "activations", "blocks")


def validate(config: ConfigDict) -> None:
    """Checks values that types alone do not hold.

    Raises:
      ConfigError: names the field, its value, and what is allowed.
    """
    _validate_model(config.model)
    _validate_data(config)
    _validate_degradation(config)
    _validate_optimizer(config.optimizer)
    _one_of("recompute", config.recompute, RECOMPUTE)
    _one_of("on_divergence", config.on_divergence, ON_DIVERGENCE)
    for name in (
        "steps",
        "log_every",
        "accumulate",
        "max_bad_steps",
        "rollbacks",
        "skip_batches",
        "checkpoint.every",
        "checkpoint.keep",
    ):
        _at_least(name, _get(config, name), 1)
    for name in ("seed", "watchdog_seconds"):
        _at_least(name, _get(config, name), 0)
    _one_of("precision", config.precision, ("float32",) if config.model.name in ("kernelnet", "usrnet") else PRECISIONS)
    if config.model.get("gradient_steps", 0) >= config.steps:
        raise ConfigError(
            f"config.model.gradient_steps of {config.model.gradient_steps} leaves none of config.steps, "
            f"{config.steps}, to train the whole network: take fewer, or more steps"
        )


def _validate_model(model: ConfigDict) -> None:
    sections = {section["name"]: section for section in (make() for make in MODEL_SECTIONS.values())}
    _one_of("model.name", model.name, tuple(sections))
    expected = sections[model.name].keys() | {"scale"}
    if set(model.keys()) != expected:
        names = ", ".join(sorted(set(model.keys()) ^ expected))
        raise ConfigError(f"config.model.name is {model.name!r}, but the fields are another model's ({names})")
    _one_of("model.scale", model.scale, (1, 2, 3, 4) if model.name == "danv2" else (2, 3, 4))
    if "supervise" in model:
        _one_of("model.supervise", model.supervise, ("all",) if model.name == "dssr" else ("last", "all"))
    if model.name == "danv1":
        _one_of("model.upsampler", model.upsampler, ("stages", "single"))
        _one_of("model.skip", model.skip, ("none", "nearest", "bicubic"))
    if model.name == "usrnet":
        _several("model.scales", model.scales, (1, 2, 3, 4))
        if len(model.features) < 2 or any(type(width) is not int or width < 1 for width in model.features):
            raise ConfigError(f"config.model.features must be two or more positive numbers, got {model.features}")
    for name, value in model.items():
        if isinstance(value, int):
            _at_least(f"model.{name}", value, 0 if name == "gradient_steps" else 1)
    for name in ("detail_weight", "coarse_weight"):
        _at_least(f"model.{name}", model.get(name, 0.0), 0)
    if not 0 < model.get("lam", 1.0) < math.inf:
        raise ConfigError(f"config.model.lam must be a positive number, got {model.lam}")


def _validate_degradation(config: ConfigDict) -> None:
    degradation = config.degradation
    if config.model.name in ("kernelnet", "usrnet"):  # whose operators are made for this, and only this
        _one_of("degradation.kernel", degradation.kernel, ("pool",))
        _one_of("degradation.downsample", degradation.downsample, ("s_fold",))
        _one_of("degradation.blur_mode", degradation.get("blur_mode", "circular"), ("circular",))
        _within("degradation.noise_free_rate", degradation.get("noise_free_rate", 0), 0, 1)
    else:
        if degradation.get("steps", ""):  # checked where the steps are made, which knows them
            _one_of("model.name", config.model.name, ("danv1", "danv2", "dssr"))
        _one_of("degradation.kernel", degradation.kernel, KERNEL_KINDS)
        _one_of("degradation.downsample", degradation.downsample, DOWNSAMPLERS)
        _range("degradation.sigma", degradation.sigma, above=0.0)
        _at_least("degradation.multiplicative_noise", degradation.multiplicative_noise, 0)
        _within("degradation.isotropic_rate", degradation.isotropic_rate, 0, 1)
    _range("degradation.noise", degradation.noise)
    _at_least("degradation.kernel_size", degradation.kernel_size, 3)
    if degradation.kernel_size % 2 == 0:
        raise ConfigError(f"config.degradation.kernel_size must be odd, got {degradation.kernel_size}")
    if config.model.get("code_length", 1) > degradation.kernel_size**2:
        raise ConfigError(f"config.model.code_length must be at most kernel_size², got {config.model.code_length}")
    if config.data.patch * config.model.scale < degradation.kernel_size:
        raise ConfigError(
            f"config.data.patch of {config.data.patch} is smaller than the blur kernel: take a larger one"
        )


def _validate_data(config: ConfigDict) -> None:
    data, validation = config.data, config.validation
    _one_of("data.source", data.source, DATA_SOURCES)
    _one_of("validation.source", validation.source, ("sample", "folder"))
    for section in ("data", "validation"):
        source = config[section].source
        if source in ("folder", "shards") and not config[section].root:
            raise ConfigError(f"config.{section}.source is {source!r}: say which with --config.{section}.root=DIR")
    _at_least("data.batch_size", data.batch_size, 1)
    _at_least("data.patch", data.patch, 8)
    for scale in scales_of(config):
        if data.patch * config.model.scale % scale:
            raise ConfigError(
                f"config.data.patch of {data.patch} at config.model.scale={config.model.scale} makes HR patches of "
                f"{data.patch * config.model.scale} pixels, no multiple of {scale}, one of config.model.scales: take "
                f"another patch"
            )
    _at_least("data.cache_gib", data.cache_gib, 0)
    _at_least("data.workers", data.workers, 0)
    _within("data.shrink_rate", data.shrink_rate, 0, 1)
    _at_least("data.least_detail", data.least_detail, 0)
    for repeat in data.repeats:
        _at_least("data.repeats", repeat, 1)
    _at_least("validation.every", validation.every, 1)
    _at_least("validation.images", validation.images, 0)
    smallest = 16 * config.model.scale
    if validation.crop and validation.crop < smallest:
        raise ConfigError(
            f"config.validation.crop must be 0 (whole images) or at least {smallest}, got {validation.crop}"
        )
    _within("validation.widths", validation.widths, 1, 8)


def _validate_optimizer(optimizer: ConfigDict) -> None:
    _one_of("optimizer.schedule", optimizer.schedule, ("halve", "cosine"))
    for name in ("learning_rate", "estimator_learning_rate", "refinement_learning_rate", "warmup", "clip_norm"):
        _at_least(f"optimizer.{name}", optimizer.get(name, 0.0), 0)
    for name in ("b1", "b2", "ema_decay"):
        if not 0 <= optimizer[name] < 1:
            raise ConfigError(f"config.optimizer.{name} must be in [0, 1), got {optimizer[name]}")
    _at_least("optimizer.halve_every", optimizer.halve_every, 1)


def _get(config: ConfigDict, path: str) -> typing.Any:
    for name in path.split("."):
        config = config[name]
    return config


def _one_of(name: str, value: typing.Any, allowed: tuple[typing.Any, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"config.{name} must be one of {', '.join(map(str, allowed))}, got {value!r}")


def _several(name: str, values: typing.Sequence[typing.Any], allowed: tuple[typing.Any, ...]) -> None:
    if not values or len(set(values)) < len(values) or not set(values) <= set(allowed):
        raise ConfigError(f"config.{name} must be some of {', '.join(map(str, allowed))}, got {tuple(values)}")


def _at_least(name: str, value: float, lowest: float) -> None:
    if not (math.isfinite(value) and value >= lowest):
        raise ConfigError(f"config.{name} must be at least {lowest}, got {value}")


def _within(name: str, value: float, lowest: float, highest: float) -> None:
    if not lowest <= value <= highest:
        raise ConfigError(f"config.{name} must be {lowest} to {highest}, got {value}")


def _range(name: str, value: tuple[float, float], above: float | None = None) -> None:
    ordered = len(value) == 2 and 0 <= value[0] <= value[1] < math.inf
    if not ordered or (above is not None and value[0] <= above):
        raise ConfigError(f"config.{name} must be two numbers, lowest and highest, not negative; got {tuple(value)}")
