"""The plan of a folder of shards: which photographs go into which shard, and which shards are complete already."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import pathlib
import shutil
import typing

from blindsr_jax.data.shard_manifest import MANIFEST, Shard, read_manifest
from blindsr_jax.data.sources import FolderSource
from blindsr_jax.data.subimages import Cutting
from blindsr_jax.errors import DataError, printable

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Plan:
    """The shards of a set of photographs.

    Attributes:
      parts: indices of the photographs in each shard.
      pixels: number of pixels in the sub-images of each shard.
      small: names of the photographs that are left out because they are too small.
      settings: everything that determines the content of the shards, as JSON values.
    """

    parts: list[list[int]]
    pixels: list[int]
    small: list[str]
    settings: dict[str, typing.Any]


def plan_shards(photographs: FolderSource, cutting: Cutting, per_shard: int, origin: dict[str, str]) -> Plan:
    """Distribute whole photographs over shards.

    Each shard except the last gets at least ``per_shard`` sub-images. Photographs that are too small are logged.

    Args:
      photographs: the photographs, in the order of the shards.
      cutting: how photographs are cut into sub-images.
      per_shard: least number of sub-images in a shard.
      origin: the source of the photographs, recorded in the settings.

    Raises:
      DataError: all photographs are too small.
    """
    parts: list[list[int]] = []
    pixels: list[int] = []
    small, filled = [], per_shard
    for index, (name, (height, width)) in enumerate(zip(photographs.names, photographs.sizes)):
        windows = cutting.windows(height, width)
        if not windows:
            log.warning("left out %s: %dx%d pixels, smaller than %d", printable(name), width, height, cutting.smallest)
            small.append(name)
            continue
        if filled >= per_shard:
            parts.append([])
            pixels.append(0)
            filled = 0
        parts[-1].append(index)
        pixels[-1] += sum(window.height * window.width for window in windows)
        filled += len(windows)
    if not parts:
        raise DataError(
            f"none of {len(small)} photographs has {cutting.smallest} pixels on both sides; "
            "--size and --smallest say what is needed"
        )
    files = [[name, path.stat().st_size] for name, path in zip(photographs.names, photographs.paths)]
    listing = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    settings = origin | dataclasses.asdict(cutting) | {"per_shard": per_shard}
    return Plan(parts, pixels, small, settings | {"photographs": len(files), "names and sizes of files": listing})


def kept_shards(out: pathlib.Path, plan: Plan, ours: typing.Container[str]) -> list[Shard | None]:
    """The complete shards of a folder by number; None for a shard that must be written.

    Args:
      out: the folder.
      plan: the plan of its shards.
      ours: names of files that a folder without shards may contain.

    Raises:
      DataError: the folder contains other files, or shards made with other settings.
    """
    if not (out / MANIFEST).exists():
        others = [path.name for path in sorted(out.iterdir()) if path.name not in ours]
        if others:
            raise DataError(f"{out}: holds something else ({others[0]}); give --out a new or an empty folder")
        return [None] * len(plan.parts)
    before = read_manifest(out)
    names = [name for name in plan.settings if before.settings.get(name) != plan.settings[name]]
    if names:
        changes = ", ".join(f"{name} {before.settings.get(name)}, now {plan.settings[name]}" for name in names)
        raise DataError(f"{out}: holds shards of other settings ({changes}); give another --out, or the same settings")
    return [shard if shard and shard.problem(out) is None else None for shard in before.shards]


def check_room(out: pathlib.Path, plan: Plan, shards: list[Shard | None]) -> None:
    """Raise DataError if the missing shards do not fit on the disk. Checks raw pixels only: their size is known."""
    if plan.settings["encoding"] != "raw":
        return
    needed = 3 * sum(pixels for pixels, shard in zip(plan.pixels, shards) if shard is None)
    free = shutil.disk_usage(out).free
    if needed > free:
        raise DataError(
            f"{out}: {needed / 2**30:.1f} GiB of raw pixels are to be written, {free / 2**30:.1f} GiB are free; "
            "--encoding png takes about half"
        )
