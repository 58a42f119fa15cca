"""Every setting of a run, with its default, unit and consequence: the papers' recipes."""

from __future__ import annotations

import inspect
import typing

from ml_collections import ConfigDict

from blindsr_jax.degradations.pools import POOL_SIZES, SOLVER_SIZE
from blindsr_jax.errors import ConfigError
from blindsr_jax.losses import LOSSES
from blindsr_jax.networks.network import Network
from blindsr_jax.networks.registry import MODELS, build, sizes_of
from blindsr_jax.papers import SETTING2_SIZE, SETTING2_WIDTHS

# Highest width of setting 1 (isotropic kernels) by scale, DAN section 4.1. The authors' shipped files use 4.0 for all.
SETTING1_WIDTH = {1: 2.0, 2: 2.0, 3: 3.0, 4: 4.0}
# KernelNet's patches by scale: about 512 HR pixels.
_KERNELNET_PATCH = {2: 256, 3: 170, 4: 128}
# Steps of KernelNet's two stages by scale: the paper's epochs (sections 4.1 to 4.3), in updates at its batch sizes.
_KERNELNET_STEPS = {2: (16_000, 6_000), 3: (10_500, 8_000), 4: (10_500, 8_000)}
_DRAWN_SIZE = 21  # K of kernels that are drawn
_FROM_CONFIG = ("scale", "kernel_size")  # sizes of a network that a config has without its saying so


def default(model: str = "danv1", scale: int = 4) -> ConfigDict:
    """The paper's recipe of a model; where there are several settings, in setting 1.

    Args:
      model: a name of ``networks.MODELS`` that is trained, your own networks included, or ``dan_lite``, a small DANv1
        for CPUs. Networks without a recipe of their own get DAN's.
      scale: s. A network for several scales, such as ``usrnet``, is validated at this one.

    Returns:
      A locked ConfigDict.

    Raises:
      ConfigError: there is no such model, it is not trained, or it does not have that scale.
    """
    name, small = ("danv1", _DAN_LITE) if model == "dan_lite" else (model, {})
    if name not in MODELS or not (network := example_network(name, scale)).supervision:
        raise ConfigError(f"there is no model {model!r} to train; known are {', '.join([*_trained(), 'dan_lite'])}")
    _check_scale(name, network, scale)
    config = ConfigDict(
        {
            "seed": 0,  # of parameters, kernels, noise, crops and order: the same seed gives the same run
            "steps": 400_000,  # updates of the parameters, in all: a resumed run stops at the same step
            # A packaged model, a bundle, a run or an official file whose parameters the run begins with, where name and
            # shape agree; the others are drawn. Empty: all are drawn.
            "start_from": "",
            # "float32" or "bfloat16" (DANs, DSSR; for accelerators): what the network computes in while it trains.
            # Parameters, loss and optimiser are float32 in any case, and so is validation.
            "precision": "float32",
            "model": model_section(name, network) | small | {"scale": scale},
            "degradation": _degradation(network, scale),
            "data": _data(),
            "optimizer": _optimizer(network),
            "checkpoint": {
                "every": 2_000,  # steps between checkpoints; at most this much is lost to a crash
                "keep": 2,  # the newest ones kept, besides the best by validation PSNR (KernelNet: by kernel ℓ1)
            },
            "validation": _validation(),
            "log_every": 100,  # steps between lines of the log and points in TensorBoard
            # What of a step is computed again for its gradient instead of stored: "nothing"; "activations", all but the
            # results of convolutions, for next to no time; "blocks", all but the features after every fourth block, for
            # a tenth more time and half of the memory (benchmarks/README.md).
            "recompute": "activations",
            # Parts of each device's share of a batch whose gradients are taken one after another: memory for some time.
            "accumulate": 1,
            "max_bad_steps": 20,  # non-finite updates in a row (each is skipped) that count as divergence
            # Then "stop"; or "rollback": go on from the last good checkpoint with other batches, at most so many times.
            "on_divergence": "stop",
            "rollbacks": 3,
            "skip_batches": 100,  # by a rollback: so many are left out after those that were trained on
            # Seconds without a finished step (validation and first compilations aside) after which all threads' stacks
            # are printed, to see where a run hangs; it is not stopped. 0 for never.
            "watchdog_seconds": 600,
        }
    )
    if model in _RECIPES:
        _RECIPES[model](config)
    return config.lock()


def example_network(name: str, scale: int | None = None) -> Network:
    """A network with the sizes of its paper.

    Args:
      name: a key of ``networks.MODELS``.
      scale: s; by default, and where the network does not have it, the first that it has.

    Raises:
      ConfigError: a size other than scale and kernel size has no default.
    """
    sizes = sizes_of(name)
    needed = [size for size, known in sizes.items() if known.default is inspect.Parameter.empty]
    without = ", ".join(size for size in needed if size not in _FROM_CONFIG)
    if without:
        raise ConfigError(f"model {name!r} cannot be configured: give {without} a default in its definition")
    given: dict[str, int] = {}
    if "scale" in sizes:
        allowed = scales_of_model(name)
        given["scale"] = scale if scale in allowed else allowed[0]
    if "kernel_size" in needed:
        given["kernel_size"] = _DRAWN_SIZE
    return build(name, **given)


def scales_of_model(name: str) -> tuple[int, ...]:
    """The scales that ``config.model.scale`` may be.

    Args:
      name: a key of ``networks.MODELS``.
    """
    sizes = sizes_of(name)
    return sizes["scale"].allowed or tuple(SETTING1_WIDTH) if "scale" in sizes else build(name).validation_scales


def model_section(name: str, network: Network) -> dict[str, typing.Any]:
    """The model section of a config, without the scale: the network's sizes, and what only its training needs.

    Args:
      name: a key of ``networks.MODELS``.
      network: that network.

    Returns:
      Sizes with their defaults, except the kernel's, which ``config.degradation`` has; and, where the network has such
      choices: ``supervise``, the steps that the loss sees; the weights of terms of the loss; the number of steps of its
      first stage; and ``scales``, of which one is drawn for each batch.
    """
    section = {"name": name}
    section |= {size: known.default for size, known in sizes_of(name).items() if size not in _FROM_CONFIG}
    if network.supervise:
        section["supervise"] = network.supervise[0]
    section |= loss_weights(network)
    if network.first_stage:
        section[network.first_stage.field] = network.first_stage.steps
    if network.scales:
        section["scales"] = network.scales
    return section


def loss_weights(network: Network) -> dict[str, float]:
    """The weights of terms of a network's loss, with their defaults."""
    parameters = inspect.signature(LOSSES[network.supervision]).parameters.values()
    return {weight.name: weight.default for weight in parameters if weight.kind is weight.KEYWORD_ONLY}


def _trained() -> list[str]:
    """The names of all networks that a config can name."""

    def is_trained(name: str) -> bool:
        try:
            return bool(example_network(name).supervision)
        except ConfigError:
            return False

    return list(filter(is_trained, MODELS))


def _check_scale(name: str, network: Network, scale: int) -> None:
    allowed = scales_of_model(name)
    if scale not in allowed:
        use = "is validated at" if network.scales else "is defined for"
        raise ConfigError(f"{name} {use} scales {', '.join(map(str, allowed))}, not {scale}")


def setting2(config: ConfigDict) -> ConfigDict:
    """Turns a config to DAN's setting 2: rotated Gaussians with multiplicative noise. Changes and returns it."""
    scale = config.model.scale
    if scale not in SETTING2_SIZE:
        raise ConfigError(f"setting 2 is defined for scales {', '.join(map(str, SETTING2_SIZE))}, not {scale}")
    config.degradation.kernel = "anisotropic"
    config.degradation.sigma = SETTING2_WIDTHS
    config.degradation.kernel_size = SETTING2_SIZE[scale]
    if "code_length" in config.model:
        config.model.code_length = 15 if scale == 4 else 10
    return config


def _use_recipe_of_dan_lite(config: ConfigDict) -> None:
    """Ours, for an hour on a CPU: many small batches, a large and falling rate, the average of the last parameters."""
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


def _use_recipe_of_kernelnet(config: ConfigDict) -> None:
    scale = config.model.scale
    config.model.gradient_steps, rest = _KERNELNET_STEPS[scale]
    config.steps = config.model.gradient_steps + rest
    config.data.batch_size, config.data.patch = 48, _KERNELNET_PATCH[scale]
    config.optimizer.learning_rate = config.optimizer.refinement_learning_rate = 1e-4
    config.checkpoint.every = config.validation.every = 1_000


def _use_recipe_of_usrnet(config: ConfigDict) -> None:
    """That of the authors' code where it says more than the paper; the number of steps is ours."""
    config.steps = 500_000
    config.data.batch_size, config.data.patch = 48, 96 // config.model.scale
    config.optimizer.learning_rate, config.optimizer.b2 = 1e-4, 0.999


_RECIPES: dict[str, typing.Callable[[ConfigDict], None]] = {
    "dan_lite": _use_recipe_of_dan_lite,
    "dssr": _use_recipe_of_dssr,
    "kernelnet": _use_recipe_of_kernelnet,
    "usrnet": _use_recipe_of_usrnet,
}
# DANv1 that a CPU trains in an hour: 0.59 M parameters at ×4.
_DAN_LITE = {
    "features": 48,
    "blocks": 8,
    "upsampler": "single",
    "skip": "bicubic",
    "iterations": 3,
    "estimator_features": 24,
    "estimator_blocks": 3,
}


def _degradation(network: Network, scale: int) -> dict[str, typing.Any]:
    if network.made_for.get("kernel") != "pool":
        return _drawn_degradation(scale)
    return _pool_degradation(scale) if network.blind else _solver_degradation()


def _drawn_degradation(scale: int) -> dict[str, typing.Any]:
    return {
        # The steps as text, such as "photo" or "photo(jpeg_rate=1.0)", see docs/degradations.md; the fields below, but
        # for `kernel_size`, are then unused. Empty: blur, downsampling, noise and rounding by these fields.
        "steps": "",
        "kernel": "isotropic",  # "isotropic" (setting 1) or "anisotropic" (setting 2)
        "kernel_size": _DRAWN_SIZE,  # K: side of the kernels in HR pixels, odd; DAN's estimates have this size too
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
        "kernel_size": POOL_SIZES[scale],  # K: side of kernels and estimates in HR pixels, odd; a file's are fitted
        "downsample": "s_fold",  # of the second stage; the first has "bicubic", whatever stands here
        "noise": (0.0, 0.0),  # as above
        "round_8bit": True,
    }


def _solver_degradation() -> dict[str, typing.Any]:
    """Of USRNet: kernels from one pool for all scales, of which a fifth is held out to validate on."""
    return {
        "kernel": "pool",
        "pool": "",  # a .npy or .mat file of kernels [N, K, K]; empty for the package's own pool of Gaussians and paths
        "kernel_size": SOLVER_SIZE,  # K: side of the kernels in HR pixels, odd; a file's are fitted
        "downsample": "s_fold",
        "blur_mode": "circular",  # border of the blur
        "noise": (0.0, 25.0),  # as above; the network is told
        "noise_free_rate": 0.125,  # share of images without any noise; what the protocol tests
        "round_8bit": True,
    }


def _data() -> dict[str, typing.Any]:
    return {
        # "sample" (packaged photographs), "folder", "div2k" (through tensorflow-datasets), or "shards", which
        # `blindsr data prepare` makes: needed where a GPU takes more patches than PNG files give (docs/data.md)
        "source": "sample",
        # folder, shards: where they are; div2k: TFDS's data_dir, empty for its default. Several folders, or patterns of
        # names such as pictures/photo_*, are separated by commas
        "root": "",
        "repeats": (),  # several folders: how often an epoch visits the images of each; empty for once
        "batch_size": 64,  # patches per update over all devices
        "patch": 64,  # side of a training patch in LR pixels; the HR patch is `model.scale` times as large
        "augment": True,  # random flips and 90-degree rotations
        # Share of patches that are cut twice as large and shrunk by half: detail finer than that of large photographs
        "shrink_rate": 0.0,
        # Standard deviation of a patch's colours, in levels of 255, below which it is cut again, at most three times
        "least_detail": 0.0,
        "cache_gib": 8.0,  # memory for decoded images per process; beyond it images are decoded again
        "workers": 0,  # threads that cut patches; 0 lets tf.data choose
    }


def _optimizer(network: Network) -> dict[str, typing.Any]:
    return {
        "learning_rate": 2e-4,  # Adam, of all parameters that are in no group of their own; of a DAN, the Restorer's
        # Of each group that the network names: a DAN's Estimator, KernelNet's refinement.
        **{f"{part}_learning_rate": 2e-4 for part in network.optimizer_groups},
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
