"""Kernel pools for users: files, a contact sheet and a summary."""

from __future__ import annotations

import math
import pathlib
import typing

import numpy as np
from PIL import Image

from blindsr_jax.degradations.pools import best_gaussian, kernel_pool, l1_of_gaussian, moments, split_pool
from blindsr_jax.errors import UsageError
from blindsr_jax.files import atomic_path
from blindsr_jax.images.kernel_arrays import read_pool
from blindsr_jax.pictures import kernel_picture

_GAP, _BACKGROUND = 4, 96


def write_pool(
    output: pathlib.Path,
    test: pathlib.Path | None,
    draw: typing.Callable[..., np.ndarray] = kernel_pool,
    *,
    overwrite: bool,
    **sizes: typing.Any,
) -> list[str]:
    """Draw a pool and write it.

    Args:
      output: .npy file for the pool, or for its training part if there is a test file.
      test: .npy file for a fifth of the kernels, which are held out.
      draw: ``degradations.pools.kernel_pool`` or ``shaken_pool``.
      overwrite: replace existing files.
      **sizes: arguments of ``draw``.

    Returns:
      A line about each file.

    Raises:
      DataError: a file cannot be written, exists, or has another extension; or the sizes are invalid.
    """
    targets = [output] if test is None else [output, test]
    for target in targets:
        if target.suffix != ".npy":
            raise UsageError(f"{target}: a pool's name ends in .npy")
        if target.exists() and not overwrite:
            raise UsageError(f"{target}: exists; --overwrite replaces it")
    if test is not None and test.resolve() == output.resolve():
        raise UsageError(f"{test}: kernels to test on need a file of their own")
    try:
        pool = draw(**sizes)
        parts = [pool] if test is None else split_pool(pool, seed=sizes["seed"])
    except ValueError as error:
        raise UsageError(str(error)) from None
    for target, part in zip(targets, parts):
        with atomic_path(target) as temporary:
            np.save(temporary, part)
    return [f"{target}: {len(part)} kernels of {part.shape[1]}x{part.shape[1]}" for target, part in zip(targets, parts)]


def draw_pool(pool: pathlib.Path, output: pathlib.Path, *, count: int, size: int | None = None) -> str:
    """Write a contact sheet of a pool's first kernels.

    Args:
      pool: file of kernels.
      output: .png file.
      count: the largest number of kernels to draw.
      size: see ``read_pool``.

    Returns:
      A line about the file.

    Raises:
      DataError: as ``read_pool``; or the output has another extension or cannot be written.
    """
    if output.suffix.lower() != ".png":
        raise UsageError(f"{output}: a contact sheet's name ends in .png")
    kernels = _read(pool, size)
    sheet = contact_sheet(kernels[:count])
    with atomic_path(output) as temporary:
        sheet.save(temporary)
    return f"{output}: {min(count, len(kernels))} of {len(kernels)} kernels"


def contact_sheet(kernels: np.ndarray, side: int = 62) -> Image.Image:
    """Draw kernels in a nearly square grid, each by ``kernel_picture``.

    Args:
      kernels: [N, K, K], at least one.
      side: approximate side of each drawing in pixels.

    Returns:
      A grey picture.
    """
    pictures = [kernel_picture(kernel, side) for kernel in kernels]
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    step = pictures[0].width + _GAP
    sheet = Image.new("L", (columns * step + _GAP, rows * step + _GAP), _BACKGROUND)
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % columns * step + _GAP, i // columns * step + _GAP))
    return sheet


def summarise_pool(pool: pathlib.Path, train: pathlib.Path | None = None, *, size: int | None = None) -> list[str]:
    """Summarise a pool in lines of text: the number of kernels, their widths and offsets, and the best Gaussian.

    Args:
      pool: file of kernels.
      train: file of the pool that the fixed Gaussian is fitted to; by default ``pool``.
      size: see ``read_pool``.

    Raises:
      DataError: as ``read_pool``.
    """
    kernels = _read(pool, size)
    side, parts = kernels.shape[-1], moments(kernels)
    width = best_gaussian(kernels if train is None else _read(train, side))

    def spread(values: np.ndarray) -> str:
        return f"{np.median(values):.2f} ({values.min():.2f} to {values.max():.2f}) pixels"

    return [
        f"kernels        {len(kernels)} of {side}x{side}",
        f"wide axis      {spread(parts.wide)}",
        f"narrow axis    {spread(parts.narrow)}",
        f"off centre     {spread(parts.offset)}",
        f"best Gaussian  width {width:.2f} pixels, l1 {l1_of_gaussian(kernels, width):.3f}",
    ]


def _read(pool: pathlib.Path, size: int | None) -> np.ndarray:
    try:
        return read_pool(pool, size)
    except ValueError as error:
        raise UsageError(f"--size {size}: {error}") from None
