"""The tile policy: which pictures are restored whole and which in tiles, for Python, commands, page and evaluation.

This module does not import JAX, because the command line checks ``--tile`` before JAX is set up.
"""

from __future__ import annotations

import math
import typing

from blindsr_jax.errors import DataError

Tile = int | typing.Literal["auto"]

WHOLE = 2**20  # LR pixels; pictures up to this size are restored, and their kernels estimated, whole
SIDE = 512  # LR pixels: side of the tiles of larger pictures
KERNEL_WINDOW = 512  # LR pixels: side of the part of larger pictures that networks without tiles look at
SMALLEST = 64  # LR pixels: the smallest side of a tile, which leaves room for the overlap


def tile_side(size: tuple[int, int], tile: Tile, whole_only: str = "") -> int:
    """Choose the side of a picture's tiles in LR pixels; 0 means that the picture is restored whole.

    Args:
      size: H and W.
      tile: ``"auto"`` uses tiles of ``SIDE`` for pictures of more than ``WHOLE`` pixels; N uses tiles of N×N pixels for
        pictures with a longer side; 0 never uses tiles.
      whole_only: see ``Restorer.whole_only``.

    Raises:
      DataError: ``tile`` has another value; or it requests tiles of a model that restores pictures whole only.
    """
    if tile == "auto":
        return SIDE if math.prod(size) > WHOLE and not whole_only else 0
    if not isinstance(tile, int) or isinstance(tile, bool) or (tile and tile < SMALLEST):
        raise DataError(f"tile must be 'auto', 0 (whole), or a side of {SMALLEST} or more LR pixels; got {tile!r}")
    if not tile or max(size) <= tile:
        return 0
    if whole_only:
        raise DataError(whole_only)
    return tile


def side_without_memory(size: tuple[int, int]) -> int:
    """Choose the side of tiles for a picture that does not fit into memory: a power of two up to ``SIDE``.

    It is less than the picture's longer side.
    """
    return min(SIDE, 2 ** (max(size) - 1).bit_length() // 2)
