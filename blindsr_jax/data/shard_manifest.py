"""What a folder of shards holds, and whether that is still so: one JSON file beside them, with a SHA-256 of each."""

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
TFDS_INFO = "dataset_info.json"  # written last: the mark of a complete folder
_FORMAT = "blindsr_jax shards 1"
_REPAIR = "remove it and run the 'blindsr data prepare' that made it: only this shard is written again"


@dataclasses.dataclass(frozen=True)
class Shard:
    """A complete shard.

    Attributes:
      name: of its file.
      records: how many images it holds.
      bytes: size of the file.
      sha256: of the file, hexadecimal.
      damaged: a line for each photograph that could not be read for it.
    """

    name: str
    records: int
    bytes: int
    sha256: str
    damaged: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def of_file(cls, path: pathlib.Path, name: str, records: int, damaged: list[str]) -> Shard:
        """The description of a file that is to get a name."""
        return cls(name, records, path.stat().st_size, sha256_of(path), damaged)

    def problem(self, root: pathlib.Path) -> str | None:
        """What a look at the file's size tells is wrong; None if nothing."""
        try:
            size = (root / self.name).stat().st_size
        except OSError as error:
            return f"{root / self.name}: cannot be read ({error.strerror}); {_REPAIR}"
        if size != self.bytes:
            return f"{root / self.name}: {size:,} bytes, {self.bytes:,} were written; {_REPAIR}"
        return None

    def deep_problem(self, root: pathlib.Path) -> str | None:
        """What reading the whole file tells is wrong; None if nothing."""
        problem = self.problem(root)
        if problem is None and sha256_of(root / self.name) != self.sha256:
            return f"{root / self.name}: damaged, its SHA-256 is not the recorded one; {_REPAIR}"
        return problem


@dataclasses.dataclass(frozen=True)
class Manifest:
    """All shards of a folder.

    Attributes:
      settings: what they were made of and how, in JSON's types.
      shards: those that are complete, by number; None for those to come.
    """

    settings: dict[str, typing.Any]
    shards: list[Shard | None]

    @property
    def written(self) -> list[Shard]:
        """The shards that are complete: all of them when the folder is."""
        return [shard for shard in self.shards if shard is not None]

    def write(self, root: pathlib.Path) -> None:
        """Writes the file, atomically. Raises DataError as ``write_text``."""
        write_text(root / MANIFEST, json.dumps({"format": _FORMAT} | dataclasses.asdict(self), indent=1) + "\n")


def read_manifest(root: str | os.PathLike) -> Manifest:
    """The manifest of a folder, complete or not.

    Raises:
      DataError: there is none, or it is damaged.
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
    """The manifest of a folder that was prepared to the end and has lost no shard since, by the sizes of its files.

    Raises:
      DataError: as ``read_manifest``, or a shard is missing or of another size; all are named.
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
    """Reads every shard of a folder and compares its SHA-256.

    Returns:
      A line for each shard that is missing or damaged; none if all is well.

    Raises:
      DataError: as ``read_manifest``, or it was not prepared to the end.
    """
    root = pathlib.Path(root)
    manifest = _finished(root)
    problems = [shard.deep_problem(root) for shard in tqdm(manifest.shards, "verifying", unit="shard")]
    return list(filter(None, problems))


def sha256_of(path: pathlib.Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
