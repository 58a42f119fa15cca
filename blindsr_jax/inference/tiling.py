"""Large images in tiles, one or several at a time: finished rows come out as soon as no tile can change them.

All tiles are told what ``overview`` knows of the whole image, so that a DAN needs one unfolded step for them, not T.
They overlap and are blended, from left to right into rows of tiles, these from top to bottom. No more is held than one
row of tiles: memory grows with the image's width, not with its height.
"""

from __future__ import annotations

import itertools
import logging
import math
import typing

import jax
import numpy as np
from tqdm import tqdm

from blindsr_jax.errors import DataError, OutOfMemory
from blindsr_jax.inference import memory
from blindsr_jax.inference.parts import Parts

if typing.TYPE_CHECKING:
    from blindsr_jax.inference.model import Model
    from blindsr_jax.inference.pixels import Pixels
    from blindsr_jax.inference.solver import Pipeline

# LR pixels that neighbouring tiles share at least, and of these what is thrown away on either side: pixels that saw the
# tile's border. Between them the tiles pass into each other.
OVERLAP, MARGIN = 32, 8
SMALLEST = 64
_BATCH = 2**20  # LR pixels of tiles that an accelerator is given at once; on CPU more than one tile gains nothing

log = logging.getLogger(__name__)


def plan(length: int, tile: int, overlap: int = OVERLAP) -> list[int]:
    """Where tiles of one size begin that cover a length, evenly spread.

    Args:
      length: pixels to cover.
      tile: pixels of each tile, more than ``overlap``.
      overlap: pixels that neighbours share at least.

    Returns:
      First pixels; a single 0 if one tile is enough.
    """
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def blending_weights(length: int, *, first: bool, last: bool, scale: int = 1) -> np.ndarray:
    """Weights of a tile's pixels along an axis: zero in the margin, then rising to one where the overlap ends.

    Args:
      length: of the tile, LR pixels.
      first, last: whether the tile begins or ends where the image does; there nothing is thrown away.
      scale: s.

    Returns:
      float32 [s·length] in [0, 1].
    """
    position = (np.arange(scale * length) + 0.5) / scale
    ramp = OVERLAP - 2 * MARGIN
    rising = 1.0 if first else np.clip((position - MARGIN) / ramp, 0, 1)
    falling = 1.0 if last else np.clip((length - position - MARGIN) / ramp, 0, 1)
    return np.broadcast_to(np.minimum(rising, falling), position.shape).astype(np.float32)


def usual_batch(tile: int) -> int:
    """How many tiles of a side this machine is given at once, unless its user says otherwise."""
    return 1 if jax.default_backend() == "cpu" else max(1, _BATCH // tile**2)


class Tiles:
    """An image that is restored in tiles: its finished rows, from top to bottom.

    Tiles that do not fit into memory are taken one at a time, then halved; rows that are finished stay as they are.

    Args:
      model: a model that restores.
      pixels: the image.
      tile: side of a tile in LR pixels, at least 64.
      kernel, iterations: see ``Model.__call__``.
      self_ensemble: see ``Model.restore``.
      at_once: tiles that are one batch.
      bounded: whether tiles are halved also where they would need more memory than there is, see ``memory``.

    Attributes:
      kernel, code: what all tiles are told of the blur, [1, K, K] and [1, L], or None.

    Raises:
      DataError: the tile is too small, or as the model.
      OutOfMemory: not even the smallest tile fits.
    """

    def __init__(
        self,
        model: Model | Pipeline,
        pixels: Pixels,
        tile: int,
        *,
        kernel: np.ndarray | None,
        iterations: int | None,
        self_ensemble: bool = False,
        at_once: int = 1,
        bounded: bool = False,
    ):
        if tile < SMALLEST:
            raise DataError(
                f"a tile of {tile}x{tile} pixels is smaller than its overlap allows: take {SMALLEST} or more"
            )
        if getattr(model, "border", "reflect") == "circular":
            raise DataError("tiles do not wrap around as the image does: restore it whole, or with border='reflect'")
        self._scale, self._pixels, self._tile, self._at_once = model.scale, pixels, tile, at_once
        self._bounded = bounded
        with memory.bounded(bounded):
            self._parts = Parts(model, pixels, kernel=kernel, iterations=iterations, self_ensemble=self_ensemble)
        self.kernel, self.code = self._parts.kernel, self._parts.code

    def bands(self) -> typing.Iterator[np.ndarray]:
        """Finished rows [n, s·W, 3], one band after the other; each may be changed by who gets it."""
        self._insisting(self._look_at_all)
        (height, width), scale = self._pixels.size, self._scale
        top, waiting, weight = 0, np.zeros((0, scale * width, 3), np.float32), np.zeros(0, np.float32)
        bar = tqdm(total=height, desc="tiles", unit="row", leave=False, delay=2, disable=None)
        with bar:
            while top < height:
                row, following = self._insisting(lambda top=top: self._row(top))
                until = height if following is None else following + OVERLAP
                rows = row[: scale * (until - top)]
                down = blending_weights(until - top, first=top == 0, last=following is None, scale=scale)
                rows *= down[:, None, None]
                rows[: len(waiting)] += waiting
                down[: len(weight)] += weight
                end = height if following is None else following
                done = scale * (end - top)
                waiting, weight = rows[done:].copy(), down[done:]
                rows[:done] /= down[:done, None, None]
                yield rows[:done]
                del row, rows
                bar.update(end - top)
                top = end

    def _insisting(self, work: typing.Callable[[], typing.Any]) -> typing.Any:
        """What the work returns, with smaller tiles if it runs out of memory."""
        while True:
            try:
                with memory.bounded(self._bounded):
                    return work()
            except OutOfMemory:
                if self._at_once == 1 and self._tile // 2 < SMALLEST:
                    raise
                self._at_once, self._tile = 1, self._tile if self._at_once > 1 else self._tile // 2
                log.info("out of memory: going on with tiles of %dx%d pixels", self._tile, self._tile)

    def _look_at_all(self) -> None:
        """The means over the image for all tiles, from tiles that know those of the patches."""
        if not self._parts.wants_means:
            return
        size, tile = self._pixels.size, self._tile
        tops, lefts = (list(zip(plan(length, tile), _cores(length, tile))) for length in size)
        total, batches = None, _batches([(row, column) for row in tops for column in lefts], self._at_once)
        for batch in tqdm(batches, "looking", unit="batch", leave=False, delay=2, disable=None):
            windows = [(a - top, b - top, c - left, d - left) for (top, (a, b)), (left, (c, d)) in batch]
            full = np.array(windows + [(0, 0, 0, 0)] * (self._at_once - len(batch)), np.int32)
            means = self._parts.means(self._cut([(top, left) for (top, _), (left, _) in batch]), full)
            area = sum((b - a) * (d - c) for a, b, c, d in windows) / (size[0] * size[1])
            part = jax.tree.map(lambda x, area=area: area * np.asarray(x, np.float64), means)
            total = part if total is None else jax.tree.map(np.add, total, part)
        self._parts.tell(jax.tree.map(np.float32, total))

    def _row(self, top: int) -> tuple[np.ndarray, int | None]:
        """A row of tiles [s·h, s·W, 3] that begins with an LR row, and the LR row with which the next one begins."""
        (height, width), scale = self._pixels.size, self._scale
        below, lefts = plan(height - top, self._tile), plan(width, self._tile)
        rows, columns = min(self._tile, height - top), min(self._tile, width)
        total = np.zeros((scale * rows, scale * width, 3), np.float32)
        weight = np.zeros(scale * width, np.float32)
        for batch in _batches(lefts, self._at_once):
            for left, sr in zip(batch, self._parts.restore(self._cut([(top, left) for left in batch]))):
                across = blending_weights(columns, first=left == 0, last=left + columns == width, scale=scale)
                here = slice(scale * left, scale * (left + columns))
                total[:, here] += across[:, None] * sr
                weight[here] += across
        total /= weight[:, None]
        return total, top + below[1] if len(below) > 1 else None

    def _cut(self, places: list[tuple[int, int]]) -> np.ndarray:
        """Tiles that begin at these rows and columns; the last one again until they are a full batch."""
        full, tile = places + places[-1:] * (self._at_once - len(places)), self._tile
        return np.stack([self._pixels.rgb(slice(y, y + tile), slice(x, x + tile)) for y, x in full])


def _batches(items: list[typing.Any], size: int) -> list[list[typing.Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _cores(length: int, tile: int) -> list[tuple[int, int]]:
    """First and last but one pixel of what each tile of a ``plan`` stands for, if every pixel counts once."""
    starts = plan(length, tile)
    edges = [0, *((start + tile + after) // 2 for start, after in itertools.pairwise(starts)), length]
    return list(itertools.pairwise(edges))
