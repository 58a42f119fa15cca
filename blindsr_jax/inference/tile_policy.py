"""Which pictures are restored whole and which in tiles: one answer for Python, commands, page and evaluation."""

from __future__ import annotations

import math
import typing

import jax

from blindsr_jax.errors import DataError

Tile = int | typing.Literal["auto"]

WHOLE = 2**20  # LR pixels up to which a picture is restored, and a kernel estimated, from the whole of it
SIDE = 512  # of the tiles of larger pictures, LR pixels
SMALLEST = 64  # side that leaves room for the overlap
_BATCH = 2**20  # LR pixels of tiles in one batch on an accelerator


def tile_side(size: tuple[int, int], tile: Tile, whole_only: str = "") -> int:
    """The side of a picture's tiles in LR pixels; 0 if it is restored whole.

    Args:
      size: H and W.
      tile: ``"auto"``: tiles of ``SIDE`` for pictures of more than ``WHOLE`` pixels; N: tiles of N×N pixels for
        pictures with a longer side; 0: whole in any case.
      whole_only: see ``Restorer.whole_only``.

    Raises:
      DataError: ``tile`` is none of these; or tiles of N×N are asked for where there can be none.
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
    """The side of tiles for a picture that does not fit into memory whole: at most half of its longer side."""
    return min(SIDE, 2 ** (max(size) - 1).bit_length() // 2)


def usual_batch(side: int) -> int:
    """Tiles in one batch: one on a CPU, which gains nothing from more; else those of a megapixel."""
    return 1 if jax.default_backend() == "cpu" else max(_BATCH // side**2, 1)
