"""Memory of restoration: suite ``memory`` asks the compiler, suite ``huge-image`` measures whole processes."""

from __future__ import annotations

import argparse
import pathlib
import resource
import subprocess
import sys
import time
import typing

import jax
import numpy as np
from PIL import Image

from benchmarks.cases import Row, cases
from benchmarks.machine import describe_jax
from blindsr_jax.config import default, model_sizes
from blindsr_jax.inference.programs import for_one_device
from blindsr_jax.networks import build, init_variables
from blindsr_jax.weights.bundle import Bundle, save_bundle

NETWORKS = ("dan_lite", "danv1", "danv2", "dssr", "usrnet")
ABOUT_TEMPORARIES = (
    "Bytes that XLA sets aside for the T steps of a forward pass, besides weights, input and result. Nothing is run: "
    "the numbers depend on versions and device, not on how busy the machine is."
)
ABOUT_HUGE_IMAGE = (
    "`blindsr restore` with a compact DAN x4 of random weights on pictures of `--pictures`, tiles by default: the most "
    "memory that the process ever held, and its seconds."
)


def temporaries(options: argparse.Namespace) -> Row:
    """Temporary memory per pixel of the result, for the model that is named or for all."""
    names = [options.model] if options.model_given else NETWORKS
    rows = [
        {"network": name, "input": f"{batch} of {side}x{side}"} | _temporaries(name, options, batch, side)
        for name in names
        for batch, side in cases(options)
    ]
    return {"sides": {"here": describe_jax()}, "tables": {"Temporaries": rows}}


def huge_image(options: argparse.Namespace) -> Row:
    """Peak memory and seconds of the command on each picture, from small to large."""
    sizes = model_sizes(default("dan_lite", scale=4))
    bundle = options.folder / "lite.safetensors"
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(441, 10)))[0].astype(np.float32)
    variables = init_variables(build(**sizes), jax.random.key(0, impl="rbg"), basis)
    save_bundle(bundle, Bundle(jax.tree.map(np.asarray, variables), sizes))
    rows = [_restored(bundle, options.folder, *size) for size in sorted(options.pictures)]
    return {"model": sizes, "sides": {"here": describe_jax()}, "tables": {"Pictures": rows}}


def _temporaries(name: str, options: argparse.Namespace, batch: int, side: int) -> Row:
    network = _network(name, options)
    shapes = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))
    given = {"lr": jax.ShapeDtypeStruct((batch, side, side, 3), "float32")}
    if name == "usrnet":
        given["kernel"] = jax.ShapeDtypeStruct((batch, 25, 25), "float32")
    known = {"scale": options.scale} if name == "usrnet" else {}
    fast = for_one_device(network)
    call = jax.jit(lambda variables, given: fast.apply(variables, **given, **known).sr)
    size = call.lower(shapes, given).compile().memory_analysis().temp_size_in_bytes
    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])),
        "temporaries_mib": size / 2**20,
        "bytes_per_restored_pixel": size / (batch * (side * options.scale) ** 2),
    }


def _network(name: str, options: argparse.Namespace) -> typing.Any:
    if name == "usrnet":
        return build(name, **options.network)
    return build(**model_sizes(default(name, scale=options.scale)) | options.network)


def _restored(bundle: pathlib.Path, folder: pathlib.Path, width: int, height: int) -> Row:
    picture, result = folder / f"{width}x{height}.jpg", folder / f"{width}x{height}.png"
    _draw(picture, width, height)
    command = [sys.executable, "-m", "blindsr_jax.cli", "restore", picture, "-o", result, "--model", bundle]
    start = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # the peak of the largest child so far, so pictures must grow
    return {
        "picture": f"{width}x{height}",
        "restored": f"{4 * width}x{4 * height}",
        "peak_mib": round(used.ru_maxrss / 1024),
        "seconds": seconds,
        "file_mib": result.stat().st_size / 2**20,
    }


def _draw(path: pathlib.Path, width: int, height: int) -> None:
    """Write a JPEG with random texture at two scales."""
    rng, total = np.random.default_rng(0), np.zeros((height, width, 3), np.float32)
    for size in (8, 64):
        coarse = rng.integers(0, 128, (height // size, width // size, 3), np.uint8)
        total += np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    Image.fromarray(np.uint8(total.clip(0, 255))).save(path, quality=92)
