"""Patches that the training stream cuts, flips and batches, for each core that it keeps busy."""

from __future__ import annotations

import argparse
import statistics
import time
import typing

from benchmarks.host import cores
from benchmarks.suites.pairs import cases
from blindsr_jax.data.pipeline import PatchSampler, patch_batches
from blindsr_jax.data.sources import open_source

DEFAULTS = {"sizes": [128, 256], "batch": [64], "repeats": 10}
ABOUT = (
    "HR patches of the size given, from the packaged photographs (decoded once, then cached), through the tf.data "
    "pipeline of training; nothing else runs. `per_core_second`: patches for each second of processor time, of all "
    "threads together."
)


def run(options: argparse.Namespace) -> dict[str, typing.Any]:
    """Patches per second with one worker thread, and with one for each core."""
    rows = []
    for batch, side in cases(options):
        for workers in sorted({1, cores()}):
            row = {"input": f"{batch} of {side}x{side}", "worker_threads": workers}
            rows.append(row | _throughput(batch, side, workers, options.repeats))
    return {"tables": {"Patches": rows}}


def _throughput(batch: int, side: int, workers: int, repeats: int) -> dict[str, typing.Any]:
    source = open_source("sample", smallest=side)
    sampler = PatchSampler(source, side, seed=0, augment=True, cache_bytes=2**30)
    stream = patch_batches(sampler, size=side, batch_size=batch, workers=workers)
    warm = -(-len(source) // batch) + 3  # every photograph is decoded, and what was fetched ahead is used up
    for _ in range(warm):
        next(stream)
    seconds, start = [], time.process_time()
    for _ in range(repeats):
        before = time.perf_counter()
        next(stream)
        seconds.append(time.perf_counter() - before)
    busy = time.process_time() - start
    return {
        "patches_per_second": batch * repeats / sum(seconds),
        "per_core_second": batch * repeats / busy,
        "median_batch_s": statistics.median(seconds),
        "batches": repeats,
    }
