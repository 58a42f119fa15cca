"""Suite ``scaling``: the exchanges in the compiled update of many devices, and predictions from published figures."""

from __future__ import annotations

import argparse
import dataclasses
import typing

from benchmarks.accelerators import ACCELERATORS, SHARE_OF_PEAK, Accelerator, predict
from benchmarks.cases import Row, cases, model_of
from benchmarks.input_demand import flop_per_patch
from benchmarks.workers import OURS, WorkerError

STRONG_BATCH, STRONG = 64, (1, 2, 4, 8, 16, 32, 64)  # strong scaling: the papers' batch; numbers of devices
WEAK_SHARES, WEAK = (8, 64), (8, 16, 64, 256)  # weak scaling: patches per device; numbers of devices
ABOUT = (
    "Compiled: the update of training, compiled for so many fake CPU devices and never run; `--sizes` are LR sides, "
    "`--batch` patches for each device. `exchanges`: instructions that send anything to other devices; `mb`: what they "
    "sum or send. `traced gflop`: work of the gradient on one device, where 3x3 convolutions are in Winograd's form; "
    "`compiled gflop`: XLA's count of the whole update of one device, the body of a loop once. Predicted: NOTHING is "
    f"measured. Compute is counted work over {SHARE_OF_PEAK:.0%} (assumed) of the published dense bfloat16 peak; the "
    "exchange is a ring all-reduce inside the hosts and then between them (`exchange`), or one ring through all "
    "(`one_ring`). Efficiency is compute over step: `worst` with one ring, `expected` with the exchange after all "
    "computing, `best` with the exchange hidden behind it."
)


def run(options: argparse.Namespace) -> dict[str, typing.Any]:
    """Compile programs for many devices, and predict times from the first of them."""
    model = model_of(options)
    found = [(*case, _compiled(options, model, n, *case)) for n in options.devices for case in cases(options)]
    first = found[0][-1]
    flop, size = flop_per_patch(model, options.sizes[0] * options.scale), sum(c["bytes"] for c in first["collectives"])
    strong = [(n, STRONG_BATCH // n) for n in STRONG]
    weak = [(n, share) for share in WEAK_SHARES for n in WEAK]
    tables = {
        "Compiled": [_row(*one) for one in found],
        "Accelerators, as published": [dataclasses.asdict(accelerator) for accelerator in ACCELERATORS],
        f"Predicted: batch {STRONG_BATCH} on more devices": _predicted(strong, flop, size),
        "Predicted: more patches on more devices": _predicted(weak, flop, size),
    }
    work = {"gflop_a_patch": flop / 1e9, "bytes_exchanged": size}
    return {"model": model, "parameters": first["parameters"], "work": work, "tables": tables}


def _compiled(options: argparse.Namespace, model: Row, devices: int, share: int, side: int) -> Row:
    """The facts about one program, compiled in a fresh process."""
    workers = dataclasses.replace(options.workers, modules={OURS: "benchmarks.partitioned"})
    with workers.start(OURS, devices=devices) as worker:
        try:
            return worker.call("compiled", model=model, share=share, side=side)
        except WorkerError as error:
            raise WorkerError(f"{devices} devices: {error}") from None


def _row(share: int, side: int, facts: Row) -> Row:
    exchanges = facts["collectives"]
    return {
        "devices": facts["devices"],
        "share": f"{share} of {side}x{side}",
        "exchanges": len(exchanges),
        "kinds": ", ".join(sorted({exchange["kind"] for exchange in exchanges})),
        "in_loops": sum(exchange["repeated"] for exchange in exchanges),
        "arrays": sum(exchange["arrays"] for exchange in exchanges),
        "mb": sum(exchange["bytes"] for exchange in exchanges) / 1e6,
        "traced_gflop": facts["traced_flop"] / 1e9,
        "compiled_gflop": facts["compiled_flop"] / 1e9,
        "arguments_mib": facts["arguments_bytes"] / 2**20,
        "temporaries_mib": facts["temporaries_bytes"] / 2**20,
    }


def _predicted(layouts: list[tuple[int, int]], flop: float, size: float) -> list[Row]:
    """A row for each accelerator and each layout (number of devices, patches per device)."""
    return [_prediction(accelerator, *layout, flop, size) for accelerator in ACCELERATORS for layout in layouts]


def _prediction(accelerator: Accelerator, devices: int, share: int, flop: float, size: float) -> Row:
    step = predict(accelerator, devices, share * flop, size)
    return {
        "accelerator": accelerator.name,
        "devices": devices,
        "patches_a_device": share,
        "compute_ms": 1e3 * step.compute,
        "exchange_ms": 1e3 * step.in_groups,
        "one_ring_ms": 1e3 * step.in_one_ring,
        "step_ms": 1e3 * step.seconds,
        **step.efficiency(),
        "patches_per_second_of_a_host": min(devices, accelerator.host) * share / step.seconds,
    }
