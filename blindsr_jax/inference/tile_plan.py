"""Where the tiles of an image begin, and which pixels each of them counts."""

from __future__ import annotations

import itertools
import math

OVERLAP = 32  # LR pixels that neighbouring tiles share at least


def plan(length: int, tile: int, overlap: int = OVERLAP) -> list[int]:
    """Choose the starts of evenly spread tiles that cover a length.

    Args:
      length: number of pixels to cover.
      tile: length of each tile in pixels, more than ``overlap``.
      overlap: the least number of pixels that neighbours share.

    Returns:
      The first pixel of each tile; [0] if one tile is enough.
    """
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def cores(length: int, tile: int, overlap: int = OVERLAP) -> list[tuple[int, int]]:
    """Return the pixels [first, last) that each tile of a ``plan`` contributes to means; every pixel counts once."""
    starts = plan(length, tile, overlap)
    edges = [0, *((start + tile + after) // 2 for start, after in itertools.pairwise(starts)), length]
    return list(itertools.pairwise(edges))
