"""``prepare_shards`` writes photographs as a folder of shards and continues after an interruption."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
import typing
from concurrent.futures import ThreadPoolExecutor

import filelock
from tqdm import tqdm

from blindsr_jax.data.shard_manifest import TFDS_INFO, Manifest, Shard
from blindsr_jax.data.shard_plan import Plan, check_room, kept_shards, plan_shards
from blindsr_jax.data.sources import FolderSource
from blindsr_jax.data.subimages import Cutting
from blindsr_jax.data.tensorflow import import_tfds
from blindsr_jax.errors import DataError, UsageError
from blindsr_jax.files import atomic_path

if typing.TYPE_CHECKING:
    from blindsr_jax.data.subimage_builder import HrSubImages

PER_SHARD = 512  # sub-images: 0.2 GB as PNG, 0.35 GB raw
_LOCK = ".lock"
# One record per group allows random access. PNGs are compressed already; raw pixels hardly shrink and cost time.
_WRITER = "group_size:1,uncompressed"


class Prepared(typing.NamedTuple):
    """The result of ``prepare_shards``.

    Attributes:
      manifest: the manifest of all shards.
      small: names of the photographs that were left out because they are too small.
      damaged: a line for each photograph that could not be read.
    """

    manifest: Manifest
    small: list[str]
    damaged: list[str]


def prepare_shards(
    out: str | os.PathLike,
    *,
    kind: str,
    data: str = "",
    split: str = "train",
    cutting: Cutting,
    per_shard: int = PER_SHARD,
) -> Prepared:
    """Cut photographs into sub-images and write them as shards that tensorflow-datasets can read.

    Complete shards are kept. Shards that are missing or have a wrong size are written.

    Args:
      out: the folder of shards: new, empty, or begun with the same settings.
      kind: ``folder``, or ``div2k``, which is downloaded.
      data: the folder of photographs; for ``div2k``, TFDS's data_dir, or empty for its default.
      split: ``train`` or ``validation``. It selects DIV2K's images; for a folder it only names the split.
      cutting: how photographs are cut.
      per_shard: least number of sub-images in each shard except the last. A photograph is never split between shards.

    Raises:
      DataError: no photograph can be used, ``out`` contains other files or shards made with other settings, the disk is
        full, or another process is preparing the same folder.
    """
    builder, photographs = _open(kind, data, split, cutting)
    plan = plan_shards(photographs, cutting, per_shard, {"source": kind, "split": split})
    out = pathlib.Path(out)
    with _alone_in(out):
        shards = kept_shards(out, plan, ours=(_LOCK,))
        check_room(out, plan, shards)
        manifest = Manifest(plan.settings, shards)
        _write_missing(out, builder, photographs, plan, manifest)
        damaged = [*photographs.left_out, *(line for shard in manifest.written for line in shard.damaged)]
        if not any(shard.records for shard in manifest.written):
            raise DataError(f"none of {len(damaged)} photographs can be read; the first: {damaged[0]}")
        _write_metadata(out, builder, manifest)
    return Prepared(manifest, plan.small, damaged)


def _open(kind: str, data: str, split: str, cutting: Cutting) -> tuple[HrSubImages, FolderSource]:
    tfds = import_tfds()
    from blindsr_jax.data.subimage_builder import HrSubImages

    if kind == "folder" and not data:
        raise UsageError("source folder: say which with --data DIR")
    home = pathlib.Path(data if kind == "div2k" and data else tfds.core.constants.DATA_DIR).expanduser()
    root = data if kind == "folder" else ""
    builder = HrSubImages(root=root, split=split, cutting=cutting, data_dir=home, file_format="array_record")
    if kind == "folder":
        return builder, builder.photographs(None)
    downloads = tfds.download.DownloadManager(
        download_dir=home / "downloads", url_infos=builder.url_infos, force_checksums_validation=True
    )
    return builder, builder.photographs(downloads)


@contextlib.contextmanager
def _alone_in(out: pathlib.Path) -> typing.Iterator[None]:
    """Make a folder, lock it against other processes, and remove the partial files of a killed process."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(out / _LOCK, timeout=0):
            try:
                for leftover in out.glob(".*.partial*"):
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
                yield
            finally:
                (out / _LOCK).unlink()
    except filelock.Timeout:
        raise DataError(f"{out}: another process is preparing it; wait for it, or end it") from None
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror or error})") from None


def _write_missing(
    out: pathlib.Path, builder: HrSubImages, photographs: FolderSource, plan: Plan, manifest: Manifest
) -> None:
    """Write the shards that the manifest lacks, and record each in the manifest once it is complete."""
    missing = [number for number, shard in enumerate(manifest.shards) if shard is None]
    if missing:
        (out / TFDS_INFO).unlink(missing_ok=True)
    manifest.write(out)

    def records_of(index: int) -> tuple[list[bytes], str]:
        try:
            return builder.serialised(photographs, index), ""
        except DataError as error:
            return [], str(error)

    total = sum(map(len, plan.parts))
    done = total - sum(len(plan.parts[number]) for number in missing)
    with tqdm(desc="preparing", initial=done, total=total, unit="photo") as bar, ThreadPoolExecutor() as pool:
        for number in missing:
            target = builder.shard_path(out, number, len(plan.parts))
            manifest.shards[number] = _write_shard(target, pool.map(records_of, plan.parts[number]), bar)
            manifest.write(out)


def _write_shard(target: pathlib.Path, photographs: typing.Iterable[tuple[list[bytes], str]], bar: tqdm) -> Shard:
    """Write one shard. ``photographs`` yields (records, problem) pairs; ``problem`` is empty for a sound photograph."""
    count, damaged = 0, []
    with atomic_path(target) as temporary:
        with _record_writer(temporary) as write:
            for records, problem in photographs:
                for record in records:
                    write(record)
                count += len(records)
                if problem:
                    damaged.append(problem)
                bar.update()
        return Shard.of_file(temporary, target.name, count, damaged)


@contextlib.contextmanager
def _record_writer(path: pathlib.Path) -> typing.Iterator[typing.Callable[[bytes], None]]:
    """A function that appends a record to a new file. array_record's RuntimeErrors become OSErrors again."""
    try:
        from array_record.python.array_record_module import ArrayRecordWriter
    except ImportError:
        raise DataError("shards are written by array_record, which tensorflow-datasets brings along on Linux") from None
    try:
        writer = ArrayRecordWriter(str(path), _WRITER)
        yield writer.write
        writer.close()
    except RuntimeError as error:
        raise OSError(str(error).split(";")[0]) from None


def _write_metadata(out: pathlib.Path, builder: HrSubImages, manifest: Manifest) -> None:
    """Write tensorflow-datasets' metadata: each file atomically, the one that marks completeness last."""
    builder.set_shards(out, [shard.records for shard in manifest.written], sum(s.bytes for s in manifest.written))
    with tempfile.TemporaryDirectory(dir=out, prefix=".metadata.partial") as folder:
        builder.info.write_to_directory(folder)
        for path in sorted(pathlib.Path(folder).iterdir(), key=lambda path: path.name == TFDS_INFO):
            os.replace(path, out / path.name)
