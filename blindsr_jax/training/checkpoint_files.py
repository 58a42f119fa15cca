"""The files of one checkpoint: score, checksum, and integrity checks."""

from __future__ import annotations

import hashlib
import json
import logging
import pathlib
import shutil
import typing

import jax
import numpy as np

log = logging.getLogger(__name__)
ITEM = "default"  # the folder of the state inside a checkpoint, the same in all earlier versions


def checksum_of(values: dict[str, typing.Any], score: float | None) -> str:
    """SHA-256 of all arrays with their types and shapes, and of the score. Every process holds the whole arrays."""
    digest = hashlib.sha256(repr(score).encode())
    for leaf in jax.tree.leaves(values):
        array = np.asarray(leaf, order="C")
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def check_descriptions(folder: pathlib.Path) -> None:
    """Raise ValueError or OSError if a metadata file of a checkpoint, or its score, is damaged."""
    for name in ("_CHECKPOINT_METADATA", f"{ITEM}/_METADATA"):
        if not isinstance(json.loads((folder / name).read_text(encoding="utf-8")), dict):
            raise ValueError(f"{name} does not describe a checkpoint")
    if (folder / "metrics").exists():
        score_in(json.loads((folder / "metrics" / "metrics").read_text(encoding="utf-8")))


def recorded_score(folder: pathlib.Path) -> float | None:
    """The validation score of a checkpoint, or None if it has none. Logs a warning if the score cannot be read."""
    try:
        return score_in(json.loads((folder / "metrics" / "metrics").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s: its score cannot be read (%s); it counts as not validated", folder, first_line(error))
        return None


def score_in(metrics: typing.Any) -> float:
    """The score in the metrics of a checkpoint. Raises ValueError unless they are exactly one number."""
    values = list(metrics.values()) if isinstance(metrics, dict) else []  # earlier versions had other names
    if len(values) != 1 or not isinstance(values[0], float | int):
        raise ValueError("the score in the file metrics is damaged")
    return values[0]


def set_aside(folder: pathlib.Path) -> None:
    """Rename a damaged checkpoint so that its step can be saved again."""
    aside = folder.with_name(f"{folder.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 200 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
