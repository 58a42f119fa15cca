"""Restore large images in tiles, and return each row as soon as no later tile can change it.

Tiles share facts about the whole image (``tile_context``), so a DAN needs a single unfolded step for them, not T. Tiles
overlap. They are blended from left to right into rows of tiles, and the rows from top to bottom. Only one row of tiles
is in memory at a time, so memory grows with the image's width but not with its height.
"""

from __future__ import annotations

import logging
import typing

import jax
import numpy as np
from tqdm import tqdm

from blindsr_jax.errors import OutOfMemory
from blindsr_jax.inference import all_cores, memory
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restorer import Restorer
from blindsr_jax.inference.tile_orientations import OrientedTiles
from blindsr_jax.inference.tile_plan import OVERLAP, cores, plan
from blindsr_jax.inference.tile_policy import SMALLEST

# LR pixels at each end of the overlap that are discarded, because the tile's border affects them. Between the margins
# one tile fades into the other.
MARGIN = 8
_BATCH = 2**17  # LR pixels in a batch of tiles on an accelerator

log = logging.getLogger(__name__)


def blending_weights(length: int, *, first: bool, last: bool, scale: int = 1) -> np.ndarray:
    """Compute the weights of a tile's pixels along an axis: zero in the margin, rising to one at the overlap's end.

    Args:
      length: length of the tile in LR pixels.
      first, last: whether the tile begins or ends at the image's border; no pixels are discarded there.
      scale: s.

    Returns:
      float32 [s·length] in [0, 1].
    """
    position = (np.arange(scale * length) + 0.5) / scale
    ramp = OVERLAP - 2 * MARGIN
    rising = 1.0 if first else np.clip((position - MARGIN) / ramp, 0, 1)
    falling = 1.0 if last else np.clip((length - position - MARGIN) / ramp, 0, 1)
    return np.broadcast_to(np.minimum(rising, falling), position.shape).astype(np.float32)


def usual_batch(side: int) -> int:
    """Default number of tiles in a batch: one for each CPU device; on accelerators enough for 2¹⁷ LR pixels."""
    if jax.default_backend() == "cpu":
        return all_cores.cores() if all_cores.cores_are_devices() else 1
    return max(_BATCH // side**2, 1)


class Tiles:
    """An image that is restored in tiles, from top to bottom.

    If a batch of tiles does not fit into memory, tiles are restored one at a time; if one tile does not fit, its side
    is halved. Finished rows stay as they are.

    Args:
      model: a model that restores images.
      pixels: the image.
      side: side of a tile in LR pixels, at least ``SMALLEST``.
      kernel, iterations: see ``Model.__call__``.
      self_ensemble: see ``Model.restore``.
      at_once: number of tiles in a batch.
      bounded: also halve tiles before they run if they would need more memory than is free, see ``memory``.

    Attributes:
      kernel, kernel_code: the image's kernel [1, K, K] and its code [1, L], or None.

    Raises:
      DataError: raised by the model.
      OutOfMemory: not even the smallest tile fits into memory.
    """

    def __init__(
        self,
        model: Restorer,
        pixels: Pixels,
        side: int,
        *,
        kernel: np.ndarray | None,
        iterations: int | None,
        self_ensemble: bool = False,
        at_once: int = 1,
        bounded: bool = False,
    ):
        self._scale, self._pixels, self._side, self._at_once = model.scale, pixels, side, at_once
        self._bounded = bounded
        self._ahead: dict[int, np.ndarray] = {}  # restored tiles of the next row, by their first column
        with memory.bounded(bounded):
            self._tiles = OrientedTiles(
                model, pixels, kernel=kernel, iterations=iterations, self_ensemble=self_ensemble
            )
        self.kernel, self.kernel_code = self._tiles.kernel, self._tiles.kernel_code

    def bands(self) -> typing.Iterator[np.ndarray]:
        """Yield finished rows [n, s·W, 3] band by band. The caller owns each band."""
        if self._tiles.has_means:
            self._tiles.use_means(self._within_memory(self._means_of_all))
        (height, width), scale = self._pixels.size, self._scale
        top, waiting, weight = 0, np.zeros((0, scale * width, 3), np.float32), np.zeros(0, np.float32)
        bar = tqdm(total=height, desc="tiles", unit="row", leave=False, delay=2, disable=None)
        with bar:
            while top < height:
                row, following = self._within_memory(lambda top=top: self._row(top))
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

    def _within_memory(self, work: typing.Callable[[], typing.Any]) -> typing.Any:
        """Run ``work``, and run it again with fewer or smaller tiles if it runs out of memory."""
        while True:
            try:
                with memory.bounded(self._bounded):
                    return work()
            except OutOfMemory:
                if self._at_once == 1 and self._side // 2 < SMALLEST:
                    raise
                self._at_once, self._side = 1, self._side if self._at_once > 1 else self._side // 2
                self._ahead = {}
                log.info("out of memory: going on with tiles of %dx%d pixels", self._side, self._side)

    def _means_of_all(self) -> list[typing.Any]:
        """Measure the means over the image for each orientation, from tiles restored with the patches' means."""
        size, side = self._pixels.size, self._side
        tops, lefts = (list(zip(plan(length, side), cores(length, side))) for length in size)
        total, batches = None, _batches([(row, column) for row in tops for column in lefts], self._at_once)
        for batch in tqdm(batches, "looking", unit="batch", leave=False, delay=2, disable=None):
            windows = [(a - top, b - top, c - left, d - left) for (top, (a, b)), (left, (c, d)) in batch]
            full = np.array(windows + [(0, 0, 0, 0)] * (self._at_once - len(batch)), np.int32)
            tiles = self._cut([(top, left) for (top, _), (left, _) in batch])
            area = sum((b - a) * (d - c) for a, b, c, d in windows) / (size[0] * size[1])
            means = self._tiles.means(tiles, full, side)
            part = jax.tree.map(lambda x, area=area: area * np.asarray(x, np.float64), means)
            total = part if total is None else jax.tree.map(np.add, total, part)
        return jax.tree.map(np.float32, total)

    def _row(self, top: int) -> tuple[np.ndarray, int | None]:
        """Restore the row of tiles that begins at LR row ``top``.

        Returns:
          [s·h, s·W, 3], and the LR row where the next row of tiles begins; None after the last.
        """
        (height, width), scale = self._pixels.size, self._scale
        below, lefts = plan(height - top, self._side), plan(width, self._side)
        rows, columns = min(self._side, height - top), min(self._side, width)
        following = top + below[1] if len(below) > 1 else None
        total = np.zeros((scale * rows, scale * width, 3), np.float32)
        weight = np.zeros(scale * width, np.float32)
        for left, sr in self._restored(top, following, lefts):
            across = blending_weights(columns, first=left == 0, last=left + columns == width, scale=scale)
            here = slice(scale * left, scale * (left + columns))
            total[:, here] += across[:, None] * sr
            weight[here] += across
        total /= weight[:, None]
        return total, following

    def _restored(self, top: int, following: int | None, lefts: list[int]) -> typing.Iterator[tuple[int, np.ndarray]]:
        """Restore a row's tiles. The last batch is filled with tiles of the following row, which are kept for it."""
        ahead, self._ahead = self._ahead, {}
        yield from ((left, ahead[left]) for left in lefts if left in ahead)
        places = [(top, left) for left in lefts if left not in ahead]
        if following is not None:
            places += [(following, left) for left in lefts[: -len(places) % self._at_once]]
        for batch in _batches(places, self._at_once):
            for (y, left), sr in zip(batch, self._tiles.restore(self._cut(batch), self._side)):
                if y == top:
                    yield left, sr
                else:
                    self._ahead[left] = sr

    def _cut(self, places: list[tuple[int, int]]) -> np.ndarray:
        """Cut the tiles that begin at these rows and columns; the last one is repeated to fill the batch."""
        full, side = places + places[-1:] * (self._at_once - len(places)), self._side
        return np.stack([self._pixels.rgb(slice(y, y + side), slice(x, x + side)) for y, x in full])


def _batches(items: list[typing.Any], size: int) -> list[list[typing.Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]
