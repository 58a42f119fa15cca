"""What follows from a config: stages, kernels, the network's sizes, and what tells one recipe from another."""

from __future__ import annotations

import hashlib
import json
import pathlib
import typing

from ml_collections import ConfigDict

# Fields of the model section that its network does not take.
_TRAINING_ONLY = ("supervise", "detail_weight", "coarse_weight", "gradient_steps", "scales")


def stage_ends(config: ConfigDict) -> list[int]:
    """The last step of each stage of training: KernelNet has two, all others one."""
    first = config.model.get("gradient_steps", 0)
    return [first, config.steps] if first else [config.steps]


def scales_of(config: ConfigDict) -> tuple[int, ...]:
    """The scales that a config trains at: several of USRNet, one of all others."""
    return tuple(config.model.get("scales", (config.model.scale,)))


def model_sizes(config: ConfigDict) -> dict[str, typing.Any]:
    """The arguments of ``networks.build``: all that makes the network what it is."""
    sizes = {key: value for key, value in config.model.items() if key not in _TRAINING_ONLY}
    if not sizes.get("conditions"):  # bundles and runs from before there were any have no such field
        sizes.pop("conditions", None)
    if "scales" in config.model:  # a network for all scales and kernels
        del sizes["scale"]
        sizes["features"] = tuple(sizes["features"])  # a recorded config has a list
    elif "code_length" in config.model or config.model.name == "kernelnet":  # those that estimate one
        sizes["kernel_size"] = config.degradation.kernel_size
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
