"""The image files of a folder."""

from __future__ import annotations

import os
import pathlib

from blindsr_jax.errors import DataError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif")

# Kernel pictures and comparisons are written beside their images with these endings. ``list_images`` skips them.
KERNEL_PICTURE = ".kernel.png"
COMPARISON = ".compare.jpg"


def list_images(root: str | os.PathLike) -> list[pathlib.Path]:
    """The image files in a folder and its subfolders, by extension and sorted. For a file, that file alone.

    Raises:
      DataError: the path does not exist, or the folder has no images.
    """
    root = pathlib.Path(root)
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise DataError(f"{root}: there is no such file or folder")
    found = sorted(p for p in root.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
    found = [path for path in found if not path.name.endswith((KERNEL_PICTURE, COMPARISON))]
    if not found:
        raise DataError(f"{root}: no image in this folder; looked for {', '.join(EXTENSIONS)}, also in its subfolders")
    return found
