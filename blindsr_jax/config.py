"""Every setting of a run, with its default, unit and consequence; and ``validate``, which refuses what cannot work.

A config file (``configs/*.py``) calls ``default(model, scale)`` and changes a few fields. The result is locked: a
mistyped field is an error that names the nearest one. Config objects stop at ``training.setup``, ``loop`` and
``results``: all other code takes plain arguments.
"""

from __future__ import annotations

import hashlib
import json
import math
import pathlib
import typing

from ml_collections import ConfigDict

from blindsr_jax.errors import ConfigError

# Highest width of setting 1 (isotropic kernels) by scale, DAN section 4.1. The authors' shipped files use 4.0 for all.
SETTING1_WIDTH = {1: 2.0, 2: 2.0, 3: 3.0, 4: 4.0}
# Kernel size of setting 2 (anisotropic kernels) by scale.
SETTING2_SIZE = {2: 11, 3: 21, 4: 31}
# Size of the kernels of our pools by scale (``degradations.pools``), and KernelNet's patches: about 512 HR pixels.
POOL_SIZE = {2: 17, 3: 23, 4: 31}
_KERNELNET_PATCH = {2: 256, 3: 170, 4: 128}
# Steps of KernelNet's two stages by scale: the paper's epochs (sections 4.1 to 4.3), in updates at its batch sizes.
_KERNELNET_STEPS = {2: (16_000, 6_000), 3: (10_500, 8_000), 4: (10_500, 8_000)}

DATA_SOURCES = ("sample", "folder", "div2k")
DOWNSAMPLERS = ("bicubic", "s_fold")
KERNEL_KINDS = ("isotropic", "anisotropic")
MODEL_NAMES = ("danv1", "danv2", "dssr", "kernelnet")


def default(model: str = "danv1", scale: int = 4) -> ConfigDict:
    """The paper's recipe of a model; where there are several settings, in setting 1.

    Args:
      model: ``danv1``, ``danv2``, ``dssr``, ``kernelnet`` or ``dan_lite`` (a small DANv1 for CPUs).
      scale: 2, 3 or 4; ``danv2`` also 1, which is deblurring.

    Returns:
      A locked ConfigDict.
    """
    if model not in _MODEL_SECTIONS:
        raise ConfigError(f"there is no model {model!r}; known are {', '.join(_MODEL_SECTIONS)}")
    config = ConfigDict(
        {
            "seed": 0,  # of parameters, kernels, noise, crops and order: the same seed gives the same run
            "steps": 400_000,  # updates of the parameters, in all: a resumed run stops at the same step
            "model": _MODEL_SECTIONS[model]() | {"scale": scale},
            "degradation": _degradation(scale),
            "data": _data(),
            "optimizer": _optimizer(),
            "checkpoint": {
                "every": 2_000,  # steps between checkpoints; at most this much is lost to a crash
                "keep": 2,  # the newest ones kept, besides the best by validation PSNR (KernelNet: by kernel ℓ1)
            },
            "validation": _validation(),
            "log_every": 100,  # steps between lines of the log and points in TensorBoard
            "max_bad_steps": 20,  # non-finite updates in a row (each is skipped) before the run stops
        }
    )
    if model == "dssr":
        config.steps = 480_000
        config.data.batch_size = 8
        config.optimizer.halve_every = 80_000
    if model == "kernelnet":
        _use_recipe_of_kernelnet(config)
    return config.lock()


def setting2(config: ConfigDict) -> ConfigDict:
    """Turns a config to DAN's setting 2: rotated Gaussians with multiplicative noise. Changes and returns it."""
    scale = config.model.scale
    if scale not in SETTING2_SIZE:
        raise ConfigError(f"setting 2 is defined for scales {', '.join(map(str, SETTING2_SIZE))}, not {scale}")
    config.degradation.kernel = "anisotropic"
    config.degradation.sigma = (0.6, 5.0)
    config.degradation.kernel_size = SETTING2_SIZE[scale]
    if "code_length" in config.model:
        config.model.code_length = 15 if scale == 4 else 10
    return config


def _use_recipe_of_kernelnet(config: ConfigDict) -> None:
    scale = config.model.scale
    if scale not in _KERNELNET_STEPS:
        raise ConfigError(f"kernelnet is defined for scales {', '.join(map(str, _KERNELNET_STEPS))}, not {scale}")
    config.model.gradient_steps, rest = _KERNELNET_STEPS[scale]
    config.steps = config.model.gradient_steps + rest
    config.degradation = _pool_degradation(scale)
    config.data.batch_size, config.data.patch = 48, _KERNELNET_PATCH[scale]
    del config.optimizer.estimator_learning_rate
    config.optimizer.learning_rate = 1e-4
    config.optimizer.refinement_learning_rate = 1e-4  # of the refinement; the other is the gradient module's
    config.checkpoint.every = config.validation.every = 1_000


def _danv1() -> dict[str, typing.Any]:
    return {
        "name": "danv1",
        "code_length": 10,  # L: principal components that stand for a kernel
        "iterations": 4,  # T: unfolded steps in training; may be changed when restoring
        "features": 64,  # channels of the Restorer
        "blocks": 40,  # conditional residual blocks of the Restorer
        "upsampler": "stages",  # "stages": as published; "single": one sub-pixel convolution, far cheaper
        "skip": "none",  # interpolation added to the output: "none" as published, "nearest" or "bicubic"
        "estimator_features": 32,
        "estimator_blocks": 5,
        "supervise": "last",  # "last": loss on step T alone, as published; "all": on every step, costs T gradients
    }


def _danv2() -> dict[str, typing.Any]:
    return {
        "name": "danv2",
        "code_length": 10,
        "iterations": 4,
        "features": 64,
        "groups": 5,  # dual-path groups of the Restorer
        "blocks": 10,  # dual-path blocks in each group
        "estimator_features": 32,
        "estimator_blocks": 5,
        "supervise": "last",
    }


def _dan_lite() -> dict[str, typing.Any]:
    """DANv1 that a CPU trains in minutes: 0.30 M parameters."""
    small = {"features": 32, "blocks": 8, "upsampler": "single", "skip": "nearest"}
    return _danv1() | small | {"estimator_features": 16, "estimator_blocks": 3}


def _dssr() -> dict[str, typing.Any]:
    return {
        "name": "dssr",
        "iterations": 4,
        "features": 128,  # channels throughout
        "blocks": 15,  # residual blocks before the detail map
        "refine_blocks": 5,  # residual blocks before the image
        "supervise": "all",  # every step, as published
        "detail_weight": 1.0,  # α: weight of the detail term in the loss
    }


def _kernelnet() -> dict[str, typing.Any]:
    return {
        "name": "kernelnet",
        "width": 128,  # hidden channels of the gradient module
        "refine_features": 64,  # hidden channels of the refinement
        "lam": 1e-6,  # λ of FFT-1 for each pixel; larger ones make smoother kernels
        "coarse_weight": 0.0,  # of the coarse kernel in the second stage's loss, 0 in the paper; 1 keeps it good to see
        "gradient_steps": 16_000,  # the first so many of all steps train the gradient module alone; 0 for none
    }


_MODEL_SECTIONS = {"danv1": _danv1, "danv2": _danv2, "dssr": _dssr, "dan_lite": _dan_lite, "kernelnet": _kernelnet}
# Fields of the model section that its network does not take.
_TRAINING_ONLY = ("supervise", "detail_weight", "coarse_weight", "gradient_steps")


def _degradation(scale: int) -> dict[str, typing.Any]:
    return {
        "kernel": "isotropic",  # "isotropic" (setting 1) or "anisotropic" (setting 2)
        "kernel_size": 21,  # K: side of the kernels in HR pixels, odd; DAN's estimates have this size too
        "sigma": (0.2, SETTING1_WIDTH.get(scale, 4.0)),  # lowest and highest kernel width, HR pixels
        "multiplicative_noise": 0.25,  # anisotropic only: largest relative increase of a kernel's pixel
        "isotropic_rate": 0.0,  # anisotropic only: share of kernels that are round all the same
        "downsample": "bicubic",  # "bicubic" (MATLAB's imresize) or "s_fold" (upper-left pixel)
        "noise": (0.0, 0.0),  # lowest and highest standard deviation of added white noise, on the 0-255 scale
        "round_8bit": True,  # round LR images to 8 bits, as files are; the authors' training leaves that out
    }


def _pool_degradation(scale: int) -> dict[str, typing.Any]:
    """Of KernelNet: kernels from a pool, of which a fifth is held out to validate on."""
    return {
        "kernel": "pool",
        "pool": "",  # a .npy or .mat file of kernels [N, K, K]; empty for the package's own pool of the scale
        "kernel_size": POOL_SIZE[scale],  # K: side of kernels and estimates in HR pixels, odd; a file's are fitted
        "downsample": "s_fold",  # of the second stage; the first has "bicubic", whatever stands here
        "noise": (0.0, 0.0),  # as above
        "round_8bit": True,
    }


def _data() -> dict[str, typing.Any]:
    return {
        "source": "sample",  # "sample" (packaged photographs), "folder" or "div2k" (through tensorflow-datasets)
        "root": "",  # folder: the folder of HR images; div2k: TFDS's data_dir, empty for its default
        "batch_size": 64,  # patches per update over all devices
        "patch": 64,  # side of a training patch in LR pixels; the HR patch is `scale` times as large
        "augment": True,  # random flips and 90-degree rotations
        "cache_gib": 8.0,  # memory for decoded images per process; beyond it images are decoded again
        "workers": 0,  # threads that cut patches; 0 lets tf.data choose
    }


def _optimizer() -> dict[str, typing.Any]:
    return {
        "learning_rate": 2e-4,  # Adam, of the Restorer
        "estimator_learning_rate": 2e-4,  # of the Estimator
        # "halve": times 1/2 every `halve_every` steps; "cosine": to zero over all steps. Either restarts, with its
        # warm-up, at KernelNet's second stage.
        "schedule": "halve",
        "halve_every": 100_000,
        "warmup": 0,  # steps of linear increase from zero
        "b1": 0.9,
        "b2": 0.99,
        "clip_norm": 0.0,  # gradients are scaled down to this global norm; 0 for never
        "ema_decay": 0.0,  # of a moving average of the parameters, used in validation and for the bundle; 0: none
    }


def _validation() -> dict[str, typing.Any]:
    return {
        "every": 5_000,  # steps between validations; each writes scores and a picture, and marks the best checkpoint
        "source": "sample",  # "sample" or "folder": HR images never trained on
        "root": "",  # folder: where they are
        "images": 0,  # how many of them are used while training; 0 for all. The final report always uses all
        "crop": 0,  # while training, use only the central crop of this many HR pixels; 0 for whole images
        "widths": 8,  # how many of the protocol's eight kernel widths (KernelNet: kernels) are used while training
    }


def validate(config: ConfigDict) -> None:
    """Checks values that types alone do not hold.

    Raises:
      ConfigError: names the field, its value, and what is allowed.
    """
    _validate_model(config.model)
    _validate_data(config)
    _validate_degradation(config)
    _validate_optimizer(config.optimizer)
    for name in ("steps", "log_every", "max_bad_steps", "checkpoint.every", "checkpoint.keep"):
        _at_least(name, _get(config, name), 1)
    _at_least("seed", config.seed, 0)
    if config.model.get("gradient_steps", 0) >= config.steps:
        raise ConfigError(
            f"config.model.gradient_steps of {config.model.gradient_steps} leaves none of config.steps, "
            f"{config.steps}, to train the whole network: take fewer, or more steps"
        )


def _validate_model(model: ConfigDict) -> None:
    _one_of("model.name", model.name, MODEL_NAMES)
    expected = _MODEL_SECTIONS[model.name]().keys() | {"scale"}
    if set(model.keys()) != expected:
        names = ", ".join(sorted(set(model.keys()) ^ expected))
        raise ConfigError(f"config.model.name is {model.name!r}, but the fields are another model's ({names})")
    _one_of("model.scale", model.scale, (1, 2, 3, 4) if model.name == "danv2" else (2, 3, 4))
    if "supervise" in model:
        _one_of("model.supervise", model.supervise, ("all",) if model.name == "dssr" else ("last", "all"))
    if model.name == "danv1":
        _one_of("model.upsampler", model.upsampler, ("stages", "single"))
        _one_of("model.skip", model.skip, ("none", "nearest", "bicubic"))
    for name, value in model.items():
        if isinstance(value, int):
            _at_least(f"model.{name}", value, 0 if name == "gradient_steps" else 1)
    for name in ("detail_weight", "coarse_weight"):
        _at_least(f"model.{name}", model.get(name, 0.0), 0)
    if not 0 < model.get("lam", 1.0) < math.inf:
        raise ConfigError(f"config.model.lam must be a positive number, got {model.lam}")


def _validate_degradation(config: ConfigDict) -> None:
    degradation = config.degradation
    if config.model.name == "kernelnet":  # whose operators are made for this, and only this
        _one_of("degradation.kernel", degradation.kernel, ("pool",))
        _one_of("degradation.downsample", degradation.downsample, ("s_fold",))
    else:
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
        if config[section].source == "folder" and not config[section].root:
            raise ConfigError(f"config.{section}.source is 'folder': say which with --config.{section}.root=DIR")
    _at_least("data.batch_size", data.batch_size, 1)
    _at_least("data.patch", data.patch, 8)
    _at_least("data.cache_gib", data.cache_gib, 0)
    _at_least("data.workers", data.workers, 0)
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


def stage_ends(config: ConfigDict) -> list[int]:
    """The last step of each stage of training: KernelNet has two, all others one."""
    first = config.model.get("gradient_steps", 0)
    return [first, config.steps] if first else [config.steps]


def kernel_distribution(config: ConfigDict) -> dict[str, typing.Any]:
    """The Gaussians that a config trains on, as keyword arguments of ``degradations.draw_kernels``."""
    degradation = config.degradation
    return {
        "kind": degradation.kernel,
        "size": degradation.kernel_size,
        "sigma": tuple(degradation.sigma),
        "multiplicative_noise": degradation.multiplicative_noise,
        "isotropic_rate": degradation.isotropic_rate,
    }


def model_sizes(config: ConfigDict) -> dict[str, typing.Any]:
    """The arguments of ``networks.build``: all that makes the network what it is."""
    sizes = {key: value for key, value in config.model.items() if key not in _TRAINING_ONLY}
    if config.model.name != "dssr":
        sizes["kernel_size"] = config.degradation.kernel_size
    return sizes


def to_json(config: ConfigDict) -> str:
    """A config as sorted, readable JSON."""
    return json.dumps(config.to_dict(), indent=1, sort_keys=True)


def recipe(config: ConfigDict) -> dict[str, typing.Any]:
    """The config without the places of data on one machine: what another person needs to repeat a training."""
    settings = config.to_dict()
    for section in ("data", "validation"):
        settings[section].pop("root")
    if "pool" in settings["degradation"]:
        settings["degradation"]["pool"] = pathlib.PurePath(settings["degradation"]["pool"]).name
    return settings


def config_hash(config: ConfigDict) -> str:
    """Twelve hexadecimal digits that change with any setting of the recipe: which numbers came from which."""
    return hashlib.sha256(json.dumps(recipe(config), sort_keys=True).encode()).hexdigest()[:12]


def _get(config: ConfigDict, path: str) -> typing.Any:
    for name in path.split("."):
        config = config[name]
    return config


def _one_of(name: str, value: typing.Any, allowed: tuple[typing.Any, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"config.{name} must be one of {', '.join(map(str, allowed))}, got {value!r}")


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
