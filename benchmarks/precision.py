"""Suite ``precision``: how far results are from reference values at each precision of an accelerator."""

from __future__ import annotations

import argparse
import pathlib
import typing

import jax
import numpy as np

from benchmarks.cases import Row
from benchmarks.machine import describe_jax, seconds_in_turn, spread
from blindsr_jax.data.sources import open_source
from blindsr_jax.degradations.kernels import isotropic_gaussian
from blindsr_jax.inference.loading import load
from blindsr_jax.inference.model import Model
from blindsr_jax.metrics import psnr
from blindsr_jax.ops import blur, imresize

GOLDEN = pathlib.Path(__file__).parents[1] / "tests" / "golden"
PACKAGED, SIDE, WIDTH = "dan-lite-x4", 512, 2.0
# JAX's precision of products, and the network's type (``networks.compute``). The first is what a user gets.
WAYS: dict[str, tuple[str | None, typing.Literal["float32", "bfloat16"]]] = {
    "default": (None, "float32"),
    "tensorfloat32": ("tensorfloat32", "float32"),
    "highest": ("highest", "float32"),
    "bfloat16": (None, "bfloat16"),
}
ABOUT = (
    "The same inputs at each precision of products (`jax_default_matmul_precision`), and in bfloat16. Goldens: small "
    "networks with the results of PyTorch on a CPU (`tests/golden`); `difference`: the largest, over the largest value "
    f"(the tests allow 2e-4 in float32). {PACKAGED}: a photograph, blurred by a Gaussian of width {WIDTH:g} and "
    "downsampled; `difference` is that from `highest`, `levels` the largest of 255; `psnr`: of the restored image on "
    "RGB. CPUs multiply in float32 whatever is asked for."
)


def run(options: argparse.Namespace) -> Row:
    """Differences of the golden networks, and differences, PSNR and seconds of a packaged one."""
    goldens = [_of_golden(name) for name in ("danv1", "danv2", "dssr")]
    return {
        "sides": {"here": describe_jax()},
        "tables": {"Goldens": goldens, "A packaged network": _packaged(options)},
    }


def _of_golden(name: str) -> Row:
    model, row = load(GOLDEN / f"{name}.pth"), {"network": name}
    with np.load(GOLDEN / f"{name}.npz") as golden:
        lr, wanted = golden["lr"], golden["sr"]
    for way in WAYS:
        found = _at(way, model, lambda model: model(lr, trace=True).trace.sr)
        row[way] = float(np.abs(found[..., :16, :16, :] - wanted).max() / np.abs(wanted).max())
    return row


def _packaged(options: argparse.Namespace) -> list[Row]:
    model, side = load(PACKAGED), (options.sizes or [SIDE])[0]
    hr = np.float32(open_source("sample").read(0)[:side, :side]) / 255
    with jax.default_matmul_precision("highest"):
        blurred = blur(hr[None], isotropic_gaussian(WIDTH, 21)[None])
        lr = np.asarray(imresize(blurred, 1 / model.scale))
    results = {way: _at(way, model, lambda model: model(lr).sr) for way in WAYS}
    calls = {way: lambda way=way: _at(way, model, lambda model: model(lr).sr) for way in WAYS}
    seconds = seconds_in_turn(calls, options.repeats)
    rows = []
    for way, sr in results.items():
        off = float(np.abs(sr - results["highest"]).max())
        quality = psnr(_8bit(sr[0]), _8bit(hr), border=model.scale, channel="rgb")
        row = {"precision": way, "difference": off / float(np.abs(results["highest"]).max()), "levels": 255 * off}
        rows.append(row | {"psnr": quality, **spread(seconds[way])})
    return rows


def _8bit(image: np.ndarray) -> np.ndarray:
    return np.uint8(np.clip(image * 255, 0, 255).round())


def _at(way: str, model: Model, call: typing.Callable[[Model], typing.Any]) -> np.ndarray:
    products, kind = WAYS[way]
    with jax.default_matmul_precision(products):
        return np.asarray(call(model.in_precision(kind)))
