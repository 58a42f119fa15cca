"""Sub-images of HR photographs as a data set of tensorflow-datasets. Importing this module imports that library."""

from __future__ import annotations

import io
import pathlib
import typing

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from blindsr_jax.data.sources import FolderSource
from blindsr_jax.data.subimages import Cutting
from blindsr_jax.errors import DataError

# TFDS's div2k data set downloads the same files, so its recorded checksums apply.
_DIV2K = "https://data.vision.ee.ethz.ch/cvl/DIV2K/"
DIV2K_ZIPS = {"train": f"{_DIV2K}DIV2K_train_HR.zip", "validation": f"{_DIV2K}DIV2K_valid_HR.zip"}
# Takes half the time of zlib's default level; photographs do not become larger.
_PNG_LEVEL = 3


class HrSubImages(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of HR sub-images, each with the name of its photograph and its position in it.

    Args:
      root: a folder of photographs; empty for DIV2K, which is downloaded.
      split: ``train`` or ``validation``: the name of the split and, for DIV2K, its images.
      cutting: how photographs are cut.
      **places: ``data_dir`` and ``file_format`` of the base class.
    """

    VERSION = tfds.core.Version("1.0.0")
    url_infos = tfds.builder_cls("div2k").url_infos

    def __init__(self, *, root: str = "", split: str = "train", cutting: Cutting, **places: typing.Any):
        self.root, self.split, self.cutting = root, split, cutting
        super().__init__(**places)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="HR sub-images, each with the name of its photograph and its place in it.",
            features=tfds.features.FeaturesDict(
                {
                    "image": _image_feature(self.cutting.encoding),
                    "name": tfds.features.Text(doc="path of the photograph below its folder"),
                    "position": tfds.features.Tensor(shape=(2,), dtype=np.int32, doc="top and left, in its pixels"),
                }
            ),
        )

    def photographs(self, downloads: tfds.download.DownloadManager) -> FolderSource:
        """The photographs to cut, downloaded if necessary. Unreadable ones are left out and logged.

        Raises:
          DataError: there are no photographs, or DIV2K cannot be downloaded or fails its checksum.
        """
        if self.root:
            return FolderSource(self.root)
        url = DIV2K_ZIPS[self.split]
        try:
            folder = downloads.download_and_extract(url)
        except Exception as error:  # of the network, the disk, the archive, or its checksum
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"{url}: cannot be downloaded and unpacked ({reason}); "
                "if you have the images, take --source folder --data DIR"
            ) from None
        return FolderSource(pathlib.Path(folder))

    def examples(self, photographs: FolderSource, index: int) -> typing.Iterator[tuple[str, dict[str, typing.Any]]]:
        """Yield the sub-images of one photograph with their keys. Raises DataError if the photograph is damaged."""
        name, image = photographs.names[index], photographs.read(index)
        for top, left, height, width in self.cutting.windows(*image.shape[:2]):
            pixels = np.ascontiguousarray(image[top : top + height, left : left + width])
            encoded = pixels if self.cutting.encoding == "raw" else _png(pixels)
            place = np.array([top, left], np.int32)
            yield f"{name} {top} {left}", {"image": encoded, "name": name, "position": place}

    def serialised(self, photographs: FolderSource, index: int) -> list[bytes]:
        """The shard records of one photograph, as reproducible bytes. Raises DataError as ``examples`` does."""
        features = self.info.features
        serializer = tfds.core.ExampleSerializer(features.get_serialized_info())
        protos = (serializer.get_tf_example(features.encode_example(x)) for _, x in self.examples(photographs, index))
        return [proto.SerializeToString(deterministic=True) for proto in protos]

    def shard_path(self, out: pathlib.Path, number: int, count: int) -> pathlib.Path:
        """The path of shard ``number`` of ``count``, by TFDS's naming pattern."""
        return pathlib.Path(self._template(out).sharded_filepath(shard_index=number, num_shards=count))

    def set_shards(self, out: pathlib.Path, lengths: list[int], size: int) -> None:
        """Record the written shards in ``info``: the records of each and their total bytes."""
        split = tfds.core.SplitInfo(self.split, lengths, size, self._template(out))
        self.info.set_splits(tfds.core.SplitDict([split]))

    def _template(self, out: pathlib.Path) -> tfds.core.ShardedFileTemplate:
        names = {"dataset_name": self.name, "split": self.split, "filetype_suffix": "array_record"}
        return tfds.core.ShardedFileTemplate(data_dir=out, **names)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, typing.Any]:
        return {self.split: self._generate_examples(self.photographs(dl_manager))}

    def _generate_examples(self, photographs: FolderSource) -> typing.Iterator[tuple[str, dict[str, typing.Any]]]:
        for index in range(len(photographs)):
            yield from self.examples(photographs, index)


def _image_feature(encoding: str) -> tfds.features.FeatureConnector:
    if encoding == "png":
        return tfds.features.Image(shape=(None, None, 3), encoding_format="png")
    return tfds.features.Tensor(shape=(None, None, 3), dtype=np.uint8, encoding="bytes")


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=_PNG_LEVEL)
    return file.getvalue()
