"""Values derived from a config: training stages, scales, the network's sizes, and the recipe's hash."""

from __future__ import annotations

import hashlib
import json
import pathlib
import typing

from ml_collections import ConfigDict

from blindsr_jax.networks.network import Network
from blindsr_jax.networks.registry import build, sizes_of


def network_of(config: ConfigDict) -> Network:
    """Build the network of a config.

    Raises:
      ConfigError: the network does not support a size.
    """
    return build(**model_sizes(config))


def stage_ends(config: ConfigDict) -> list[int]:
    """The last step of each stage of training: KernelNet and IKC have two, most others one."""
    stage = network_of(config).first_stage
    first = config.model.get(stage.field, 0) if stage else 0
    return [first, config.steps] if first else [config.steps]


def scales_of(config: ConfigDict) -> tuple[int, ...]:
    """The scales that a config trains at: several for USRNet, one for all other networks."""
    return tuple(config.model.get("scales", (config.model.scale,)))


def model_sizes(config: ConfigDict) -> dict[str, typing.Any]:
    """The arguments of ``networks.build`` that define the network."""
    known = sizes_of(config.model.name)
    sizes: dict[str, typing.Any] = {"name": config.model.name}
    for name, size in known.items():
        value = config.degradation.kernel_size if name == "kernel_size" else config.model.get(name, size.default)
        value = tuple(value) if isinstance(value, list) else value  # a recorded config has lists
        if value or size.default != ():  # bundles and runs from before an empty size have no such field
            sizes[name] = value
    return sizes


def to_json(config: ConfigDict) -> str:
    """Format a config as sorted, readable JSON."""
    return json.dumps(config.to_dict(), indent=1, sort_keys=True)


def recipe(config: ConfigDict) -> dict[str, typing.Any]:
    """The config without this machine's data paths: the settings that another person needs to repeat a training."""
    settings = config.to_dict()
    for section in ("data", "validation"):
        settings[section].pop("root")
    if "pool" in settings["degradation"]:
        settings["degradation"]["pool"] = pathlib.PurePath(settings["degradation"]["pool"]).name
    settings["start_from"] = pathlib.PurePath(settings.get("start_from", "")).name
    return settings


def flat(config: ConfigDict) -> dict[str, typing.Any]:
    """Flatten the config to one level of names with scalar values, for tables of hyper-parameters."""
    settings: dict[str, typing.Any] = {"config_hash": config_hash(config)}
    for name, value in config.items():
        section = value if isinstance(value, ConfigDict) else {"": value}
        for key, item in section.items():
            settings[f"{name}.{key}".rstrip(".")] = item if isinstance(item, (int, float, str, bool)) else str(item)
    return settings


def config_hash(config: ConfigDict) -> str:
    """Twelve hexadecimal digits that identify the recipe: they change with any of its settings."""
    return hashlib.sha256(json.dumps(recipe(config), sort_keys=True).encode()).hexdigest()[:12]
