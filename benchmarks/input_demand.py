"""Suite ``input``: patches per second of the training stream, compared with the estimated demand of accelerators."""

from __future__ import annotations

import argparse
import functools
import pathlib
import statistics
import time

import numpy as np
from PIL import Image

from benchmarks.accelerators import H200, SHARE_OF_PEAK
from benchmarks.cases import Row, cases, model_of
from benchmarks.flops import work_of
from benchmarks.machine import cores
from benchmarks.training_step import step_and_arguments
from blindsr_jax.data.pipeline import PatchSampler, patch_batches
from blindsr_jax.data.shard_writing import prepare_shards
from blindsr_jax.data.sources import Source, open_source
from blindsr_jax.data.subimages import Cutting

PHOTOGRAPHS, HEIGHT, WIDTH = 6, 1356, 2040  # the most common size in DIV2K
CACHED = "cached"
_LIMIT_S = 10.0
ABOUT = (
    f"HR patches of the size given through the tf.data pipeline of training; nothing else runs. {PHOTOGRAPHS} packaged "
    f"photographs, mirrored at their borders to DIV2K's {WIDTH}x{HEIGHT} pixels: as PNG files; as sub-images of "
    "480x480 in PNG shards and in raw ones (all in the system's page cache, so that no disk is measured); and from "
    "memory (`cached`: decoded before). `per_core_second`: patches for each second of processor time, of all threads "
    f"together. Demand: an ESTIMATE of what {H200.host} H200 consume, the counted work of a training step over "
    f"{SHARE_OF_PEAK:.0%} (assumed) of the published dense bfloat16 peak, {H200.flop_per_second / 1e12:.0f} TFLOP a "
    "second; `cores`: that over patches for each core second of one thread, were there no limit to threads."
)


def run(options: argparse.Namespace) -> Row:
    """Patches per second of every form, with one worker thread and with one per core; and the demand."""
    model = model_of(options)
    forms, rows, demands = _forms(options.folder), [], []
    for batch, side in cases(options):
        per_core = {}
        for form, (source, cache_bytes) in forms.items():
            sampler = PatchSampler(source, side, seed=0, augment=True, cache_bytes=cache_bytes)
            for workers in sorted({cores(), 1}, reverse=True):
                row = _throughput(sampler, len(source) if form == CACHED else 0, batch, side, workers, options.repeats)
                rows.append({"form": form, "input": f"{batch} of {side}x{side}", "worker_threads": workers} | row)
            per_core[form] = rows[-1]["per_core_second"]
        demands.append(_demand(model, side, per_core))
    return {"model": model, "tables": {"Patches": rows, "Demand": demands}}


def flop_per_patch(model: Row, side: int) -> float:
    """FLOP of a training step per patch. ``side`` is the patch's in HR pixels, a multiple of the model's scale."""
    batch = 2  # FLOP are proportional to the batch
    _, step, arguments = step_and_arguments(model, batch, side // model["scale"])
    return sum(part.flop for part in work_of(step, *arguments).values()) / batch


def _demand(model: Row, side: int, per_core: dict[str, float]) -> Row:
    """Patches per second that a host consumes, and the number of cores that supply them, by form of the input.

    Args:
      model: name, scale and sizes of a network.
      side: side of the HR patches.
      per_core: patches per second of processor time, by form.
    """
    flop = flop_per_patch(model, side)
    demand = H200.host * SHARE_OF_PEAK * H200.flop_per_second / flop
    row = {"patch": f"{side}x{side}", "gflop_a_patch": flop / 1e9, "patches_per_second_of_the_host": demand}
    return row | {f"cores: {form}": demand / rate for form, rate in per_core.items()}


def _forms(folder: pathlib.Path) -> dict[str, tuple[Source, float]]:
    """Sources by name, each with its bytes of memory for decoded images."""
    photographs = folder / "photographs"
    photographs.mkdir()
    sample = open_source("sample")
    for index in range(PHOTOGRAPHS):
        image = sample.read(index)
        beyond = ((0, HEIGHT - image.shape[0]), (0, WIDTH - image.shape[1]), (0, 0))
        Image.fromarray(np.pad(image, beyond, mode="reflect")).save(photographs / f"{index}.png")
    prepare = functools.partial(prepare_shards, kind="folder", data=str(photographs))
    for encoding in ("png", "raw"):
        prepare(folder / encoding, cutting=Cutting(encoding=encoding))
    raw = open_source("shards", str(folder / "raw"))
    return {
        "PNG files": (open_source("folder", str(photographs)), 0.0),
        "PNG shards": (open_source("shards", str(folder / "png")), 0.0),
        "raw shards": (raw, 0.0),
        CACHED: (raw, float(2**30)),
    }


def _throughput(sampler: PatchSampler, images: int, batch: int, side: int, workers: int, repeats: int) -> Row:
    stream = patch_batches(sampler, size=side, batch_size=batch, workers=workers)
    for _ in range(-(-images // batch) + 2):  # fills the cache and uses up the prefetched batches
        next(stream)
    seconds, start = [], time.process_time()
    while len(seconds) < repeats and (len(seconds) < 2 or sum(seconds) < _LIMIT_S):
        before = time.perf_counter()
        next(stream)
        seconds.append(time.perf_counter() - before)
    busy = time.process_time() - start
    return {
        "patches_per_second": batch * len(seconds) / sum(seconds),
        "per_core_second": batch * len(seconds) / busy,
        "median_batch_s": statistics.median(seconds),
        "batches": len(seconds),
    }
