"""``OrientedTiles``: restores the tiles of one image in their shared context, optionally in eight orientations."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restorer import Restorer
from blindsr_jax.inference.self_ensemble import mean_kernel, refuse_s_fold, turned, turned_back
from blindsr_jax.inference.tile_context import Means, TileContext


class OrientedTiles:
    """A model that restores the tiles of one image, with a separate context for each orientation.

    Args:
      model: a model that restores images.
      pixels: the image.
      kernel, iterations: see ``Model.__call__``.
      self_ensemble: whether to restore tiles in all eight orientations.

    Attributes:
      kernel, kernel_code: the image's kernel [1, K, K] and its code [1, L], or None.

    Raises:
      DataError, OutOfMemory: as ``Restorer.tile_context``; DataError as ``average_of_eight``.
    """

    def __init__(
        self,
        model: Restorer,
        pixels: Pixels,
        *,
        kernel: np.ndarray | None,
        iterations: int | None,
        self_ensemble: bool,
    ):
        if self_ensemble:
            refuse_s_fold(model)
        self._model = model
        self._contexts: list[TileContext] = []
        for orientation in range(8 if self_ensemble else 1):
            view = pixels.seen_from(functools.partial(turned, orientation=orientation, rows=0))
            known = None if kernel is None else turned(np.asarray(kernel), orientation, rows=-2)
            self._contexts.append(model.tile_context(view, kernel=known, iterations=iterations))
        if self_ensemble:
            self.kernel, self.kernel_code = mean_kernel(model, [context.kernel for context in self._contexts])
        else:
            self.kernel, self.kernel_code = self._contexts[0].kernel, self._contexts[0].kernel_code

    @property
    def has_means(self) -> bool:
        """Whether the model needs means over the whole image, which a first pass over all tiles measures."""
        return bool(self._contexts[0].means)

    def means(self, tiles: np.ndarray, windows: np.ndarray, side: int) -> list[Means]:
        """Measure the means in windows [B, 4] of a batch of tiles [B, h, w, 3], for each orientation."""
        found = []
        for orientation, context in enumerate(self._contexts):
            turned_windows = np.stack([_turned_window(window, tiles.shape[1:3], orientation) for window in windows])
            found.append(self._model.tile_means(turned(tiles, orientation, rows=1), turned_windows, context, side))
        return found

    def use_means(self, means: list[Means]) -> None:
        """Store the means over the whole image, one for each orientation, in the contexts."""
        self._contexts = [dataclasses.replace(context, means=one) for context, one in zip(self._contexts, means)]

    def restore(self, tiles: np.ndarray, side: int) -> np.ndarray:
        """Restore a batch of tiles [B, h, w, 3]: [B, s·h, s·w, 3]."""
        images = (
            turned_back(self._model.restore_tiles(turned(tiles, i, rows=1), context, side), i, rows=1)
            for i, context in enumerate(self._contexts)
        )
        return sum(images) / len(self._contexts) if len(self._contexts) > 1 else next(images)


def _turned_window(window: np.ndarray, size: tuple[int, int], orientation: int) -> np.ndarray:
    """The window [top, bottom), [left, right) of a tile in the coordinates of the turned tile."""
    (top, bottom, left, right), (height, width) = window, size
    rows = (height - bottom, height - top) if orientation & 1 else (top, bottom)
    columns = (width - right, width - left) if orientation & 2 else (left, right)
    return np.array([*columns, *rows] if orientation & 4 else [*rows, *columns], np.int32)
