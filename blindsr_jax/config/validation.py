"""``validate``: reject invalid configs before anything is read or written."""

from __future__ import annotations

import math
import typing

from ml_collections import ConfigDict

from blindsr_jax.config.derived import network_of, scales_of
from blindsr_jax.config.model_section import example_network, loss_weights, model_section, scales_of_model
from blindsr_jax.data.sources import DATA_SOURCES
from blindsr_jax.degradations.size_steps import Downsampling
from blindsr_jax.errors import ConfigError
from blindsr_jax.networks.compute import Precision, Remat
from blindsr_jax.networks.network import Network
from blindsr_jax.networks.registry import MODELS

KERNEL_KINDS = ("isotropic", "anisotropic", "kerneldan")
ON_DIVERGENCE = ("stop", "rollback")


def validate(config: ConfigDict) -> None:
    """Check the values that types alone do not guarantee.

    Raises:
      ConfigError: names the field, its value, and what is allowed.
    """
    _validate_kernel_size(config)
    network = _validate_model(config)
    _validate_data(config)
    _validate_degradation(config, network)
    _validate_optimizer(config.optimizer)
    _one_of("recompute", config.recompute, typing.get_args(Remat))
    _one_of("on_divergence", config.on_divergence, ON_DIVERGENCE)
    for name in (
        "steps",
        "log_every",
        "accumulate",
        "max_bad_steps",
        "rollbacks",
        "skip_batches",
        "rise_steps",
        "checkpoint.every",
        "checkpoint.keep",
    ):
        _at_least(name, _get(config, name), 1)
    for name in ("seed", "watchdog_seconds", "max_rise"):
        _at_least(name, _get(config, name), 0)
    if 0 < config.max_rise <= 1:
        raise ConfigError(f"config.max_rise must be 0 (never) or more than 1, got {config.max_rise}")
    _one_of("precision", config.precision, typing.get_args(Precision) if network.takes_bfloat16 else ("float32",))


def _validate_kernel_size(config: ConfigDict) -> None:
    size = config.degradation.kernel_size
    _at_least("degradation.kernel_size", size, 3)
    if size % 2 == 0:
        raise ConfigError(f"config.degradation.kernel_size must be odd, got {size}")


def _validate_model(config: ConfigDict) -> Network:
    model = config.model
    _one_of("model.name", model.name, tuple(MODELS))
    example = example_network(model.name)
    if not example.supervision:
        raise ConfigError(f"config.model.name is {model.name!r}, which is not trained: it has no loss")
    expected = model_section(model.name, example).keys() | {"scale"}
    if set(model.keys()) != expected:
        names = ", ".join(sorted(set(model.keys()) ^ expected))
        raise ConfigError(f"config.model.name is {model.name!r}, but the fields are another model's ({names})")
    _one_of("model.scale", model.scale, scales_of_model(model.name))
    try:
        network = network_of(config)
    except ConfigError as error:
        raise ConfigError(f"config.model: {error}") from None
    if network.supervise:
        _one_of("model.supervise", model.supervise, network.supervise)
    if network.scales:
        _several("model.scales", model.scales, network.scales)
    for name in loss_weights(network):
        _at_least(f"model.{name}", model[name], 0)
    if network.first_stage:
        _validate_first_stage(network.first_stage.field, config)
    return network


def _validate_first_stage(field: str, config: ConfigDict) -> None:
    steps = config.model[field]
    _at_least(f"model.{field}", steps, 0)
    if steps >= config.steps:
        raise ConfigError(
            f"config.model.{field} of {steps} leaves none of config.steps, {config.steps}, to train the whole "
            "network: take fewer, or more steps"
        )


def _validate_degradation(config: ConfigDict, network: Network) -> None:
    degradation = config.degradation
    for name, value in network.made_for.items():
        _one_of(f"degradation.{name}", degradation.get(name, value), (value,))
    if degradation.kernel != "pool":
        _one_of("degradation.kernel", degradation.kernel, KERNEL_KINDS)
        _range("degradation.sigma", degradation.sigma, above=0.0)
        _at_least("degradation.multiplicative_noise", degradation.multiplicative_noise, 0)
        _within("degradation.isotropic_rate", degradation.isotropic_rate, 0, 1)
    _one_of("degradation.downsample", degradation.downsample, typing.get_args(Downsampling))
    _within("degradation.noise_free_rate", degradation.get("noise_free_rate", 0), 0, 1)
    _range("degradation.noise", degradation.noise)
    length = network.code_basis_length
    if length and length > degradation.kernel_size**2:
        raise ConfigError(f"config.model.code_length must be at most kernel_size², got {length}")
    if config.data.patch * config.model.scale < degradation.kernel_size:
        raise ConfigError(
            f"config.data.patch of {config.data.patch} is smaller than the blur kernel: take a larger one"
        )
    lr_size = getattr(network, "kernel_size", 0) if network.kernel_space == "lr" else 0
    if config.data.patch < lr_size:
        raise ConfigError(
            f"config.data.patch of {config.data.patch} is smaller than the {lr_size}x{lr_size} kernel of the LR image: "
            "take a larger one"
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
    _one_of("optimizer.kind", optimizer.get("kind", "adam"), ("adam", "muon"))
    _one_of("optimizer.schedule", optimizer.schedule, ("halve", "cosine"))
    rates = [name for name in optimizer if name.endswith("learning_rate")]
    for name in (*rates, "warmup", "clip_norm"):
        _at_least(f"optimizer.{name}", optimizer[name], 0)
    for name in ("b1", "b2", "ema_decay"):
        if not 0 <= optimizer[name] < 1:
            raise ConfigError(f"config.optimizer.{name} must be in [0, 1), got {optimizer[name]}")
    _at_least("optimizer.halve_every", optimizer.halve_every, 1)
    for step in optimizer.get("halve_at", ()):
        _at_least("optimizer.halve_at", step, 1)


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
