"""Every setting of a run, with its default, unit and consequence: the papers' recipes."""

from __future__ import annotations

import typing

from ml_collections import ConfigDict

from blindsr_jax.config.model_section import (
    DRAWN_SIZE,
    example_network,
    model_section,
    scales_of_model,
    trained_models,
)
from blindsr_jax.config.recipes import DAN_LITE, RECIPES
from blindsr_jax.degradations.pools import POOL_SIZES, SOLVER_SIZE
from blindsr_jax.errors import ConfigError
from blindsr_jax.networks.network import Network
from blindsr_jax.networks.registry import MODELS
from blindsr_jax.papers import SETTING2_SIZE, SETTING2_WIDTHS

# Highest width of setting 1 (isotropic kernels) by scale, DAN section 4.1. The authors' shipped files use 4.0 for all.
SETTING1_WIDTH = {1: 2.0, 2: 2.0, 3: 3.0, 4: 4.0}


def default(model: str = "danv1", scale: int = 4) -> ConfigDict:
    """The recipe of a model's paper, in setting 1 if the paper has several settings.

    Args:
      model: a name of ``networks.MODELS`` that can be trained, including your own networks, or ``dan_lite``, a small
        DANv1 for CPUs. Networks without a recipe get DAN's.
      scale: s. A network for several scales, such as ``usrnet``, is validated at this one.

    Returns:
      A locked ConfigDict.

    Raises:
      ConfigError: there is no such model, it is not trained, or it does not have that scale.
    """
    name, small = ("danv1", DAN_LITE) if model == "dan_lite" else (model, {})
    if name not in MODELS or not (network := example_network(name, scale)).supervision:
        raise ConfigError(
            f"there is no model {model!r} to train; known are {', '.join([*trained_models(), 'dan_lite'])}"
        )
    _check_scale(name, network, scale)
    config = ConfigDict(
        {
            "seed": 0,  # seeds parameters, kernels, noise, crops and order; the same seed gives the same run
            "steps": 400_000,  # total updates of the parameters; a resumed run stops at the same step
            # A packaged model, bundle, run or official file. The run starts from those of its parameters whose name and
            # shape match, and draws the others at random. Empty: all are drawn.
            "start_from": "",
            # "float32", or "bfloat16" on accelerators (DANs, DSSR): the network's type in training. Parameters, loss,
            # optimiser and validation are always float32.
            "precision": "float32",
            "model": model_section(name, network) | small | {"scale": scale},
            "degradation": _degradation(network, scale),
            "data": _data(),
            "optimizer": _optimizer(network),
            "checkpoint": {
                "every": 2_000,  # steps between checkpoints; a crash loses at most this many
                "keep": 2,  # number of newest checkpoints to keep, besides the best by PSNR (KernelNet: by kernel ℓ1)
            },
            "validation": _validation(),
            "log_every": 100,  # steps between log lines and TensorBoard points
            # Values that the backward pass recomputes instead of storing: "nothing"; "activations", all except the
            # results of convolutions, at almost no cost in time; "blocks", all except the features after every fourth
            # block, for a tenth more time and half of the memory (benchmarks/README.md).
            "recompute": "activations",
            # Number of parts of each device's batch whose gradients are computed in turn; saves memory, costs time.
            "accumulate": 1,
            "max_bad_steps": 20,  # consecutive non-finite updates that count as divergence; each one is skipped
            # A median loss of `rise_steps` updates above `max_rise` times the stage's lowest one is divergence too.
            # 0 is never. It is watched from the first `rise_steps` updates on, also while the rate warms up. The lowest
            # is taken anew after a resume.
            "max_rise": 0.0,
            "rise_steps": 100,
            # On divergence: "stop", or "rollback" to the last good checkpoint and continue with other batches, at most
            # `rollbacks` times.
            "on_divergence": "stop",
            "rollbacks": 3,
            "skip_batches": 100,  # number of batches that a rollback skips after those already trained on
            # Seconds without a finished step, apart from validation and first compilations, after which the stacks of
            # all threads are printed to show where the run hangs. The run is not stopped. 0 for never.
            "watchdog_seconds": 600,
        }
    )
    if model in RECIPES:
        RECIPES[model](config)
    return config.lock()


def _check_scale(name: str, network: Network, scale: int) -> None:
    allowed = scales_of_model(name)
    if scale not in allowed:
        use = "is validated at" if network.scales else "is defined for"
        raise ConfigError(f"{name} {use} scales {', '.join(map(str, allowed))}, not {scale}")


def setting2(config: ConfigDict) -> ConfigDict:
    """Change a config to DAN's setting 2, rotated Gaussians with multiplicative noise, and return it."""
    scale = config.model.scale
    if scale not in SETTING2_SIZE:
        raise ConfigError(f"setting 2 is defined for scales {', '.join(map(str, SETTING2_SIZE))}, not {scale}")
    config.degradation.kernel = "anisotropic"
    config.degradation.sigma = SETTING2_WIDTHS
    config.degradation.kernel_size = SETTING2_SIZE[scale]
    if "code_length" in config.model:
        config.model.code_length = 15 if scale == 4 else 10
    if "kernel_softmax" in config.model:
        config.model.kernel_softmax = config.degradation.kernel_size == 11  # as the authors' weights want, see DCLS
    return config


def _degradation(network: Network, scale: int) -> dict[str, typing.Any]:
    if network.made_for.get("kernel") != "pool":
        return _drawn_degradation(scale, network.made_for.get("kernel", "isotropic"))
    return _pool_degradation(scale) if network.blind else _solver_degradation()


def _drawn_degradation(scale: int, kernel: str) -> dict[str, typing.Any]:
    return {
        # Steps as text, such as "photo" or "photo(jpeg_rate=1.0)", see docs/degradations.md; of the fields below only
        # `kernel_size` is then used. Empty: blur, downsampling, noise and rounding by these fields.
        "steps": "",
        "kernel": kernel,  # "isotropic" (setting 1), "anisotropic" (setting 2) or "kerneldan" (KernelDAN's)
        "kernel_size": DRAWN_SIZE,  # K: side of the kernels, and of DAN's estimates, in HR pixels; odd
        "sigma": (0.2, SETTING1_WIDTH.get(scale, 4.0)),  # lowest and highest kernel width, HR pixels
        # anisotropic, kerneldan: largest relative increase of a kernel's pixel; kerneldan's decrease as much
        "multiplicative_noise": 0.25,
        "isotropic_rate": 0.0,  # anisotropic only: share of round kernels among them
        "downsample": "bicubic",  # "bicubic" (MATLAB's imresize) or "s_fold" (upper-left pixel)
        "noise": (0.0, 0.0),  # lowest and highest standard deviation of added white noise, on the 0-255 scale
        "round_8bit": True,  # round LR images to 8 bits, as in files; the authors' training does not
    }


def _pool_degradation(scale: int) -> dict[str, typing.Any]:
    """For KernelNet: kernels from a pool. A fifth of the pool is held out for validation."""
    return {
        "kernel": "pool",
        # A .npy or .mat file of kernels [N, K, K]; empty for the package's own pool of the scale, and "shaken" for the
        # one in which half of the kernels are paths in focus, discs, and sums of both.
        "pool": "",
        "kernel_size": POOL_SIZES[
            scale
        ],  # K: side of kernels and estimates in HR pixels, odd; a file's are cropped or padded
        "downsample": "s_fold",  # for the second stage; the first stage always uses "bicubic"
        "noise": (0.0, 0.0),  # as above
        "round_8bit": True,
    }


def _solver_degradation() -> dict[str, typing.Any]:
    """For USRNet: kernels from one pool for all scales. A fifth of the pool is held out for validation."""
    return {
        "kernel": "pool",
        "pool": "",  # a .npy or .mat file of kernels [N, K, K]; empty for the package's own pool of Gaussians and paths
        "kernel_size": SOLVER_SIZE,  # K: side of the kernels in HR pixels, odd; a file's are cropped or padded
        "downsample": "s_fold",
        "blur_mode": "circular",  # border of the blur
        "noise": (0.0, 25.0),  # as above; the noise level is an input of the network
        "noise_free_rate": 0.125,  # share of images without noise, as in the protocol
        "round_8bit": True,
    }


def _data() -> dict[str, typing.Any]:
    return {
        # "sample" (packaged photographs), "folder", "div2k" (by tensorflow-datasets), or "shards" that
        # `blindsr data prepare` makes, for GPUs that need more patches per second than PNG files provide (docs/data.md)
        "source": "sample",
        # folder, shards: path; div2k: TFDS's data_dir, empty for its default. Separate several folders, or patterns
        # such as pictures/photo_*, by commas
        "root": "",
        "repeats": (),  # several folders: how often an epoch visits the images of each; empty: once
        "batch_size": 64,  # patches per update over all devices
        "patch": 64,  # side of a training patch in LR pixels; the HR patch is `model.scale` times as large
        "augment": True,  # random flips and 90-degree rotations
        # Share of patches that are cut twice as large and halved, because large photographs lack such fine detail
        "shrink_rate": 0.0,
        # Smallest standard deviation of a patch's colours, in levels of 255; others are cut again, at most three times
        "least_detail": 0.0,
        "cache_gib": 8.0,  # memory for decoded images in each process; images beyond it are decoded again
        "workers": 0,  # number of threads that cut patches; 0 lets tf.data choose
    }


def _optimizer(network: Network) -> dict[str, typing.Any]:
    return {
        "kind": "adam",  # or "muon", whose updates of convolution kernels are orthogonal and as large as Adam's
        "learning_rate": 2e-4,  # for the parameters in none of the groups below, such as a DAN's Restorer
        # For each group that the network names, such as a DAN's Estimator or KernelNet's refinement.
        **{f"{part}_learning_rate": 2e-4 for part in network.optimizer_groups},
        # "halve": halved every `halve_every` steps; "cosine": falls to zero over all steps. Both restart, with their
        # warm-up, at the second stage of KernelNet and IKC.
        "schedule": "halve",
        "halve_every": 100_000,
        "halve_at": (),  # steps at which "halve" halves the rate; empty: every `halve_every`
        "warmup": 0,  # steps of linear increase from zero
        "b1": 0.9,
        "b2": 0.99,
        "clip_norm": 0.0,  # gradients are scaled down to this global norm; 0 for never
        "ema_decay": 0.0,  # decay of the moving average of parameters for validation and the bundle; 0 for none
    }


def _validation() -> dict[str, typing.Any]:
    return {
        "every": 5_000,  # steps between validations; each writes scores and a picture, and marks the best checkpoint
        "source": "sample",  # "sample" or "folder": HR images that training does not use
        "root": "",  # folder: path
        "images": 0,  # number of images to use during training; 0 for all. The final report always uses all
        "crop": 0,  # side in HR pixels of the central crop to use during training; 0 for whole images
        "widths": 8,  # number of the protocol's eight kernel widths (KernelNet: kernels) to use during training
    }
