"""How many training patches a second a host of accelerators eats: an estimate, until one is measured."""

from __future__ import annotations

import typing

from benchmarks.accelerators import H200, SHARE_OF_PEAK
from benchmarks.suites.ceilings import step_and_arguments
from benchmarks.work import work_of

DEVICES, PEAK_FLOP_PER_SECOND = H200.host, H200.flop_per_second
_BATCH = 2  # work is in proportion to it


def patches_per_second(flop: float) -> float:
    """What one device eats at the assumed share of its peak, from the work of a step for one patch."""
    return SHARE_OF_PEAK * PEAK_FLOP_PER_SECOND / flop


def flop_per_patch(model: dict[str, typing.Any], side: int) -> float:
    """Work of a training step for one of its patches, whose side in HR pixels is a multiple of the model's scale."""
    _, step, arguments = step_and_arguments(model, _BATCH, side // model["scale"])
    return sum(part.flop for part in work_of(step, *arguments).values()) / _BATCH


def demand(model: dict[str, typing.Any], side: int, per_core: dict[str, float]) -> dict[str, typing.Any]:
    """A row: what a host eats, and how many cores cut that many patches in each form of the input.

    Args:
      model: name, scale and sizes of a network.
      side: of the HR patches.
      per_core: patches for each second of processor time, by form.
    """
    flop = flop_per_patch(model, side)
    eaten = DEVICES * patches_per_second(flop)
    row = {"patch": f"{side}x{side}", "gflop_a_patch": flop / 1e9, "patches_per_second_of_the_host": eaten}
    return row | {f"cores: {form}": eaten / rate for form, rate in per_core.items()}
