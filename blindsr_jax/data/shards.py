"""Random access to shards of HR sub-images, from any number of threads."""

from __future__ import annotations

import bisect
import itertools
import os
import pathlib
import typing

import numpy as np

from blindsr_jax.data.shard_manifest import complete_manifest
from blindsr_jax.data.tensorflow import import_tensorflow
from blindsr_jax.errors import DataError
from blindsr_jax.images.reading import decode_rgb


class ShardSource:
    """The images of a folder written by ``blindsr data prepare``.

    Opening checks only the sizes of the files. Each record has a checksum, which every read verifies.

    Args:
      root: the folder.
      smallest: least height and width of an image in pixels.

    Raises:
      DataError: the folder is incomplete, a shard is missing or has a wrong size, or the images are too small.
    """

    repeats: typing.Sequence[int] | None = None

    def __init__(self, root: str | os.PathLike, smallest: int = 1):
        manifest = complete_manifest(root)
        size = manifest.settings["size"]
        if smallest > size:
            raise DataError(
                f"{root}: sub-images of {size}x{size} pixels are smaller than the {smallest} that are needed: "
                "prepare larger ones, or take a smaller config.data.patch"
            )
        shards = manifest.written
        self._paths = [pathlib.Path(root) / shard.name for shard in shards]
        self._ends = list(itertools.accumulate(shard.records for shard in shards))
        self._readers = [_reader(path, shard.records) for path, shard in zip(self._paths, shards)]
        self._example = import_tensorflow().train.Example
        self.names = [f"{shard.name} record {i}" for shard in shards for i in range(shard.records)]

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> np.ndarray:
        """Image ``index``: uint8 [H, W, 3], may be read-only. Raises DataError naming the shard if it is damaged."""
        shard = bisect.bisect_right(self._ends, index)
        position = index - (self._ends[shard - 1] if shard else 0)
        try:
            return self._image(self._readers[shard][position])
        except Exception as error:  # the reader raises RuntimeError, protobuf and NumPy their own
            raise DataError(
                f"{self._paths[shard]}: record {position} is damaged ({_first_words(error)}); "
                f"'blindsr data verify {self._paths[shard].parent}' checks all"
            ) from None

    def _image(self, record: bytes) -> np.ndarray:
        feature = self._example.FromString(record).features.feature
        if "image" in feature:
            return decode_rgb(feature["image"].bytes_list.value[0])
        shape = tuple(feature["image/shape"].int64_list.value)
        return np.frombuffer(feature["image/value"].bytes_list.value[0], np.uint8).reshape(shape)


def _reader(path: pathlib.Path, records: int) -> typing.Any:
    """The records of a file by number. The file is opened at the first read."""
    try:
        from array_record.python.array_record_data_source import ArrayRecordDataSource
    except ImportError:
        raise DataError("shards are read by array_record, which tensorflow-datasets brings along on Linux") from None
    return ArrayRecordDataSource(f"{path}[0:{records}]")


def _first_words(error: Exception) -> str:
    """The message up to the hashes and offsets that array_record appends in parentheses."""
    return str(error).split(" (")[0] or type(error).__name__
