"""The image files of a folder."""

from __future__ import annotations

import os
import pathlib

from blindsr_jax.errors import DataError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif")

# Pictures of kernels and comparisons lie beside the images they belong to, under these endings, and are not taken for
# images.
KERNEL_PICTURE = ".kernel.png"
COMPARISON = ".compare.jpg"


def list_images(root: str | os.PathLike) -> list[pathlib.Path]:
    """Image files below a folder by their extensions, sorted; a file is a list of itself.

    Raises:
      DataError: nothing is there, or no image is in it.
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
