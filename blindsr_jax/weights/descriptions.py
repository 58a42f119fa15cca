"""Checks of what a weight file says about itself, before anything is built from it.

A description of a few bytes can ask for a network of any size. So its sizes have limits, far above those of published
networks, and no network has more blocks than the file has arrays.
"""

from __future__ import annotations

import math
import typing

from blindsr_jax.errors import WeightsError

MOST_ARRAYS = 4096
_COUNTS = ("blocks", "groups")  # ends of the names of sizes that count parts, each with arrays of its own
_MOST_PARTS = 256
_MOST_PARTS_WITHOUT_ARRAYS = 16  # a network that learns nothing may still name the sizes of one that does
_LIMITS = {"iterations": 1000, "kernel_size": 1023}
_MOST = 2**20  # any other size


def check_sizes(path: typing.Any, model: dict[str, typing.Any], arrays: int) -> None:
    """Check the sizes of a network that a file describes.

    Args:
      path: the file's name in messages.
      model: arguments of ``networks.build``, of any types.
      arrays: number of arrays in the file.

    Raises:
      WeightsError: a size is larger than any network's, or needs more arrays than there are.
    """
    if arrays > MOST_ARRAYS:
        raise WeightsError(f"{path}: {arrays:,} arrays, at most {MOST_ARRAYS:,} are read")
    most_parts = min(_MOST_PARTS, arrays or _MOST_PARTS_WITHOUT_ARRAYS)
    parts: float = 1
    for name, value in model.items():
        numbers = [x for x in (value if isinstance(value, list | tuple) else [value]) if isinstance(x, int | float)]
        counts = name.endswith(_COUNTS)
        limit = most_parts if counts else _LIMITS.get(name, _MOST)
        if len(numbers) > _MOST_PARTS or any(abs(x) > limit for x in numbers):
            raise WeightsError(f"{path}: {name} of the model must be at most {limit:,}; the file is damaged")
        parts *= max([1, *numbers]) if name in _COUNTS else 1
    if parts > most_parts:
        raise WeightsError(f"{path}: the model would have {parts} blocks, more than fit; the file is damaged")


def check_metadata(path: typing.Any, metadata: dict[str, typing.Any]) -> None:
    """Check the types of what a bundle says about its weights.

    Raises:
      WeightsError: the protocol is no text, a score no number, or another part of the wrong kind.
    """
    scores = metadata.get("scores", {})
    kinds = {"protocol": str, "scores": dict, "source": dict, "training": dict, "evaluations": list}
    wrong = [name for name, kind in kinds.items() if not isinstance(metadata.get(name, kind()), kind)]
    if not wrong and not all(_is_number(score) for score in scores.values()):
        wrong = ["scores"]
    if not wrong and not all(isinstance(entry, dict) for entry in metadata.get("evaluations", [])):
        wrong = ["evaluations"]
    config = {} if wrong else metadata.get("source", {}).get("config", {})
    if not isinstance(config, dict) or not isinstance(config.get("degradation", {}), dict):
        wrong = ["source"]
    if wrong:
        raise WeightsError(f"{path}: the description inside the bundle is damaged: {wrong[0]} is of another kind")


def _is_number(value: typing.Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
