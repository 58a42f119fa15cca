"""Sources of HR images. A source has names, a length, and ``read(i)``."""

from __future__ import annotations

import glob
import logging
import os
import pathlib
import typing

import numpy as np
from tqdm import tqdm

from blindsr_jax.data.tensorflow import import_tfds
from blindsr_jax.errors import DataError, printable
from blindsr_jax.images.folders import list_images
from blindsr_jax.images.reading import decode_rgb, image_size, read_rgb

SAMPLE_ROOT = pathlib.Path(__file__).parent / "sample"
# The HR files are the same in every TFDS variant; x8 has the smallest LR files.
_DIV2K_VARIANTS = ("bicubic_x8", "bicubic_x4", "bicubic_x3", "bicubic_x2", "unknown_x4", "unknown_x3", "unknown_x2")

log = logging.getLogger(__name__)


class Source(typing.Protocol):
    """HR images by index.

    Attributes:
      names: a unique name for each image.
      repeats: how often a training epoch visits each image; None for once.
    """

    names: list[str]
    repeats: typing.Sequence[int] | None

    def __len__(self) -> int: ...

    def read(self, index: int) -> np.ndarray:
        """Image ``index``: uint8 [H, W, 3]. Raises DataError if it is damaged."""
        ...


class FolderSource:
    """The images of a folder and its subfolders.

    Files with an unreadable header and images smaller than ``smallest`` are left out. Each is logged and listed in
    ``left_out``.

    Args:
      root: the folder, one image file, or a pattern such as ``pictures/photo_*``.
      smallest: least height and width in pixels.

    Attributes:
      paths: the files that are used.
      sizes: height and width of each image after its EXIF orientation is applied.
      repeats: None; see ``Source``.
      left_out: a line for each file that is not used.

    Raises:
      DataError: there is no usable image.
    """

    repeats: typing.Sequence[int] | None = None

    def __init__(self, root: str | os.PathLike, smallest: int = 1):
        root = pathlib.Path(root)
        self.paths: list[pathlib.Path] = []
        self.sizes: list[tuple[int, int]] = []
        self.left_out: list[str] = []
        for path in _images_at(root):
            try:
                height, width = image_size(path)
            except DataError as error:
                self.left_out.append(str(error))
                continue
            if min(height, width) < smallest:
                self.left_out.append(f"{path}: {width}x{height} pixels, smaller than the {smallest} that are needed")
                continue
            self.paths.append(path)
            self.sizes.append((height, width))
        for reason in self.left_out:
            log.warning("left out %s", printable(reason))
        if self.left_out:
            log.warning(
                "%d of %d images in %s left out", len(self.left_out), len(self.left_out) + len(self.paths), root
            )
        if not self.paths:
            raise DataError(f"{root}: none of its {len(self.left_out)} images can be used; first: {self.left_out[0]}")
        within = root if root.is_dir() else next(part for part in root.parents if not glob.has_magic(str(part)))
        self.names = [path.relative_to(within).as_posix() for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> np.ndarray:
        return read_rgb(self.paths[index])


def _images_at(root: pathlib.Path) -> list[pathlib.Path]:
    """The images of a folder, or of all paths that match a pattern such as ``pictures/photo_*``."""
    if root.exists() or not glob.has_magic(str(root)):
        return list_images(root)
    found = [pathlib.Path(path) for path in sorted(glob.glob(str(root)))]
    if not found:
        raise DataError(f"{root}: no file has such a name")
    return [image for path in found for image in list_images(path)]


class JoinedSource:
    """Concatenation of several sources, each with a number of visits per epoch.

    Args:
      sources: the sources to concatenate.
      repeats: for each source, how often a training epoch visits its images; positive.

    Attributes:
      left_out: the lines of all sources.
    """

    def __init__(self, sources: typing.Sequence[Source], repeats: typing.Sequence[int]):
        self._sources = sources
        self._ends = np.cumsum([len(source) for source in sources])
        self.names = [f"{number}/{name}" for number, source in enumerate(sources) for name in source.names]
        self.repeats: typing.Sequence[int] | None = np.repeat(repeats, [len(source) for source in sources]).tolist()
        self.left_out = [line for source in sources for line in getattr(source, "left_out", [])]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, index: int) -> np.ndarray:
        number = int(np.searchsorted(self._ends, index, side="right"))
        return self._sources[number].read(index - int(self._ends[number]) + len(self._sources[number]))


class Div2kSource:
    """The HR images of DIV2K (Agustsson and Timofte, CVPRW 2017), prepared by tensorflow-datasets.

    The PNG bytes are read once and held in memory (about 3.5 GB). Each read decodes an image.

    Args:
      data_dir: TFDS's data folder; empty for its default.
      split: ``train`` (800 images) or ``validation`` (100).

    Raises:
      DataError: the data set is not prepared there; the message gives the command that prepares it.
    """

    repeats: typing.Sequence[int] | None = None

    def __init__(self, data_dir: str = "", split: str = "train"):
        tfds = import_tfds()
        builder = _prepared_div2k(tfds, data_dir or None)
        only_hr = tfds.decode.PartialDecoding({"hr": builder.info.features["hr"]}, {"hr": tfds.decode.SkipDecoding()})
        # Reading one file at a time fixes the order of the images, and with it the order of training.
        order = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        dataset = builder.as_dataset(split=split, decoders=only_hr, read_config=order)
        total = builder.info.splits[split].num_examples
        self._encoded = [
            bytes(example["hr"]) for example in tqdm(tfds.as_numpy(dataset), "reading DIV2K", total, unit="image")
        ]
        self.names = [f"div2k/{split}/{i:04d}" for i in range(len(self._encoded))]

    def __len__(self) -> int:
        return len(self._encoded)

    def read(self, index: int) -> np.ndarray:
        return decode_rgb(self._encoded[index], self.names[index])


def _prepared_div2k(tfds: typing.Any, data_dir: str | None) -> typing.Any:
    for variant in _DIV2K_VARIANTS:
        builder = tfds.builder(f"div2k/{variant}", data_dir=data_dir)
        if builder.is_prepared():
            return builder
    where = f", data_dir={data_dir!r}" if data_dir else ""
    build = f"tfds.builder('div2k/{_DIV2K_VARIANTS[0]}'{where}).download_and_prepare()"
    raise DataError(
        f"DIV2K is not prepared in {data_dir or 'the default TFDS folder'}. Download and prepare it (about 4 GB) with\n"
        f'  python -c "import tensorflow_datasets as tfds; {build}"\n'
        "or make shards of its HR images alone with\n"
        "  blindsr data prepare --source div2k --out DIR\n"
        "and train from them with --config.data.source=shards --config.data.root=DIR,\n"
        "or train on any folder of images with --config.data.source=folder --config.data.root=DIR,\n"
        "or on the packaged photographs with --config.data.source=sample"
    )


def open_source(
    kind: str, root: str = "", *, split: str = "train", smallest: int = 1, repeats: typing.Sequence[int] = ()
) -> Source:
    """Open a source by the name that configs use.

    Args:
      kind: one of ``DATA_SOURCES``.
      root: the folder of images or of shards, or TFDS's data_dir. Several folders of images, or patterns such as
        ``pictures/photo_*``, are separated by commas.
      split: ``train`` or ``validation``; ignored for ``folder`` and ``shards``.
      smallest: least height and width of an image in pixels.
      repeats: for several folders, how often an epoch visits the images of each; once by default.

    Raises:
      DataError: the source is empty, missing or unknown, or the number of repeats differs from the number of folders.
    """
    if kind not in _OPENERS:
        raise DataError(f"there is no data source {kind!r}; known are {', '.join(DATA_SOURCES)}")
    return _OPENERS[kind](root, split, smallest, repeats)


def _open_sample(root: str, split: str, smallest: int, repeats: typing.Sequence[int]) -> Source:
    return FolderSource(SAMPLE_ROOT / split, smallest)


def _open_folders(root: str, split: str, smallest: int, repeats: typing.Sequence[int]) -> Source:
    roots = [root] if pathlib.Path(root).exists() else [part.strip() for part in root.split(",")]
    repeats = repeats or [1] * len(roots)
    if len(repeats) != len(roots):
        raise DataError(f"{len(repeats)} repeats for {len(roots)} folders of images ({root}): give one for each")
    sources = [FolderSource(part, smallest) for part in roots]
    return sources[0] if len(sources) == 1 else JoinedSource(sources, repeats)


def _open_div2k(root: str, split: str, smallest: int, repeats: typing.Sequence[int]) -> Source:
    return Div2kSource(root, split)


def _open_shards(root: str, split: str, smallest: int, repeats: typing.Sequence[int]) -> Source:
    from blindsr_jax.data.shards import ShardSource

    return ShardSource(root, smallest)


_OPENERS: dict[str, typing.Callable[[str, str, int, typing.Sequence[int]], Source]] = {
    "sample": _open_sample,
    "folder": _open_folders,
    "div2k": _open_div2k,
    "shards": _open_shards,
}
DATA_SOURCES = tuple(_OPENERS)
