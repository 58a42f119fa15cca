"""The manifest of a folder of shards: one JSON file that records each shard's size and SHA-256."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import typing

from tqdm import tqdm

from blindsr_jax.errors import DataError
from blindsr_jax.files import write_text

MANIFEST = "manifest.json"
TFDS_INFO = "dataset_info.json"  # written last: its presence marks a complete folder
_FORMAT = "blindsr_jax shards 1"
_REPAIR = "remove it and run the 'blindsr data prepare' that made it: only this shard is written again"


@dataclasses.dataclass(frozen=True)
class Shard:
    """A complete shard.

    Attributes:
      name: name of its file.
      records: number of images.
      bytes: size of the file.
      sha256: SHA-256 of the file, hexadecimal.
      damaged: a line for each of its photographs that could not be read.
    """

    name: str
    records: int
    bytes: int
    sha256: str
    damaged: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def of_file(cls, path: pathlib.Path, name: str, records: int, damaged: list[str]) -> Shard:
        """The shard in the file ``path``, which will be renamed to ``name``."""
        return cls(name, records, path.stat().st_size, sha256_of(path), damaged)

    def problem(self, root: pathlib.Path) -> str | None:
        """The problem found from the file's size alone, or None."""
        try:
            size = (root / self.name).stat().st_size
        except OSError as error:
            return f"{root / self.name}: cannot be read ({error.strerror}); {_REPAIR}"
        if size != self.bytes:
            return f"{root / self.name}: {size:,} bytes, {self.bytes:,} were written; {_REPAIR}"
        return None

    def deep_problem(self, root: pathlib.Path) -> str | None:
        """The problem found by reading the whole file, or None."""
        problem = self.problem(root)
        if problem is None and sha256_of(root / self.name) != self.sha256:
            return f"{root / self.name}: damaged, its SHA-256 is not the recorded one; {_REPAIR}"
        return problem


@dataclasses.dataclass(frozen=True)
class Manifest:
    """All shards of a folder.

    Attributes:
      settings: the photographs and options that the shards were made from, as JSON values.
      shards: the complete shards by number; None for a shard not yet written.
    """

    settings: dict[str, typing.Any]
    shards: list[Shard | None]

    @property
    def written(self) -> list[Shard]:
        """The complete shards; all shards once the folder is complete."""
        return [shard for shard in self.shards if shard is not None]

    def write(self, root: pathlib.Path) -> None:
        """Write the manifest atomically. Raises DataError as ``write_text`` does."""
        write_text(root / MANIFEST, json.dumps({"format": _FORMAT} | dataclasses.asdict(self), indent=1) + "\n")


def read_manifest(root: str | os.PathLike) -> Manifest:
    """Read the manifest of a folder that may still be incomplete.

    Raises:
      DataError: there is no manifest, or it is damaged.
    """
    path = pathlib.Path(root) / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise DataError(f"{path}: of format {content['format']!r}, this version reads {_FORMAT!r}")
        return Manifest(content["settings"], [shard and Shard(**shard) for shard in content["shards"]])
    except FileNotFoundError:
        raise DataError(
            f"{root}: no shards here (there is no {MANIFEST}); make them with 'blindsr data prepare'"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); remove the folder and prepare it again") from None


def complete_manifest(root: str | os.PathLike) -> Manifest:
    """Read the manifest of a folder and check that every shard is there. Checks only the sizes of the files.

    Raises:
      DataError: as ``read_manifest``; or the folder is incomplete; or shards are missing or have a wrong size, in which
        case the message names all of them.
    """
    root = pathlib.Path(root)
    manifest = _finished(root)
    problems = list(filter(None, (shard.problem(root) for shard in manifest.written)))
    if problems:
        raise DataError("\n".join(problems))
    return manifest


def _finished(root: pathlib.Path) -> Manifest:
    manifest = read_manifest(root)
    missing = sum(shard is None for shard in manifest.shards)
    if missing or not (root / TFDS_INFO).is_file():
        raise DataError(
            f"{root}: {missing} of {len(manifest.shards)} shards are still to be written; "
            "the 'blindsr data prepare' that began it goes on"
        )
    return manifest


def verify_shards(root: str | os.PathLike) -> list[str]:
    """Read every shard of a folder and compare its SHA-256 with the manifest.

    Returns:
      A line for each missing or damaged shard.

    Raises:
      DataError: as ``read_manifest``, or the folder is incomplete.
    """
    root = pathlib.Path(root)
    manifest = _finished(root)
    problems = [shard.deep_problem(root) for shard in tqdm(manifest.shards, "verifying", unit="shard")]
    return list(filter(None, problems))


def sha256_of(path: pathlib.Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
