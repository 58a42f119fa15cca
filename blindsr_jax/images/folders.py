"""The image files of a folder."""

from __future__ import annotations

import collections
import os
import pathlib
import typing

from blindsr_jax.errors import DataError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".jfif", ".jpe")
# Pictures of these kinds are named, so that nobody thinks they were restored.
_DRAWINGS_AND_OTHERS = ".psd .xcf .kra .svg .pdf .eps .tga .dds .exr .hdr .ppm .pgm .pnm .ico .qoi"
_CAMERAS = ".heic .heif .jxl .jp2 .j2k .jpx .jxr .dng .cr2 .cr3 .nef .arw .orf .raf .rw2 .pef .srw"
_NOT_READ = frozenset(f"{_CAMERAS} {_DRAWINGS_AND_OTHERS}".split(" "))

# Kernel pictures and comparisons are written beside their images with these endings. ``list_images`` skips them.
KERNEL_PICTURE = ".kernel.png"
COMPARISON = ".compare.jpg"


class Listing(typing.NamedTuple):
    """The files below a folder.

    Attributes:
      images: image files, sorted.
      not_read: number of pictures of other kinds, by extension.
    """

    images: list[pathlib.Path]
    not_read: dict[str, int]

    def warning(self, root: str | os.PathLike) -> str:
        """A line that names the pictures that are not read; empty if there are none."""
        if not self.not_read:
            return ""
        count, kinds = sum(self.not_read.values()), ", ".join(sorted(self.not_read))
        return f"{root}: {count} {'picture' if count == 1 else 'pictures'} of kinds that are not read here: {kinds}"


def list_images(root: str | os.PathLike, *, without: str | os.PathLike | None = None) -> list[pathlib.Path]:
    """The image files in a folder and its subfolders, by extension and sorted. For a file, that file alone.

    For arguments and errors see ``find_images``.
    """
    return find_images(root, without=without).images


def find_images(root: str | os.PathLike, *, without: str | os.PathLike | None = None) -> Listing:
    """Find the image files in a folder and its subfolders.

    Linked subfolders are followed, each folder once. Hidden files and folders (``.name``, ``@eaDir``) are left out, and
    so are the kernel pictures and comparisons that this package writes.

    Args:
      root: the folder. For a file, that file alone is found.
      without: a folder inside it that is left out, such as the folder of outputs.

    Raises:
      DataError: the path does not exist, or the folder has no images.
    """
    root = pathlib.Path(root)
    if root.is_file():
        return Listing([root], {})
    if not root.is_dir():
        raise DataError(f"{root}: there is no such file or folder")
    left_out = None if without is None else pathlib.Path(without).resolve()
    images, not_read = [], collections.Counter[str]()
    for path in _files(root, left_out):
        suffix = path.suffix.lower()
        if suffix in _NOT_READ:
            not_read[path.suffix] += 1
        elif suffix in EXTENSIONS and not path.name.endswith((KERNEL_PICTURE, COMPARISON)):
            images.append(path)
    found = Listing(sorted(images), dict(not_read))
    if not images:
        others = f" ({found.warning(root)})" if not_read else ""
        kinds = ", ".join(EXTENSIONS)
        raise DataError(f"{root}: no image in this folder; looked for {kinds}, also in its subfolders{others}")
    return found


def _files(root: pathlib.Path, without: pathlib.Path | None) -> typing.Iterator[pathlib.Path]:
    """Yield the files below a folder that are not hidden."""
    seen: set[pathlib.Path] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        here = pathlib.Path(folder).resolve()
        if here in seen or (here == without and here != root.resolve()):
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "@eaDir")))
        for name in files:
            path = pathlib.Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path
