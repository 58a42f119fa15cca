"""``OrientedTiles``: tiles of one image, restored in what they share; in eight orientations if asked for."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restorer import Restorer
from blindsr_jax.inference.self_ensemble import mean_kernel, refuse_s_fold, turned, turned_back
from blindsr_jax.inference.tile_context import Means, TileContext


class OrientedTiles:
    """A model that restores tiles of one image. Each orientation has a context of its own.

    Args:
      model: a model that restores.
      pixels: the image.
      kernel, iterations: see ``Model.__call__``.
      self_ensemble: whether tiles are restored in all eight orientations.

    Attributes:
      kernel, kernel_code: of the image, [1, K, K] and [1, L], or None.

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
        """Whether means over the image are to be taken from a look at all tiles."""
        return bool(self._contexts[0].means)

    def means(self, tiles: np.ndarray, windows: np.ndarray, side: int) -> list[Means]:
        """The means of windows [B, 4] in a batch of tiles [B, h, w, 3], for each orientation."""
        found = []
        for orientation, context in enumerate(self._contexts):
            turned_windows = np.stack([_turned_window(window, tiles.shape[1:3], orientation) for window in windows])
            found.append(self._model.tile_means(turned(tiles, orientation, rows=1), turned_windows, context, side))
        return found

    def use_means(self, means: list[Means]) -> None:
        """Takes the means of the whole image, for each orientation, into the contexts."""
        self._contexts = [dataclasses.replace(context, means=one) for context, one in zip(self._contexts, means)]

    def restore(self, tiles: np.ndarray, side: int) -> np.ndarray:
        """A batch [B, h, w, 3], restored: [B, s·h, s·w, 3]."""
        images = (
            turned_back(self._model.restore_tiles(turned(tiles, i, rows=1), context, side), i, rows=1)
            for i, context in enumerate(self._contexts)
        )
        return sum(images) / len(self._contexts) if len(self._contexts) > 1 else next(images)


def _turned_window(window: np.ndarray, size: tuple[int, int], orientation: int) -> np.ndarray:
    """A window, half-open [top, bottom), [left, right), in a tile that is turned."""
    (top, bottom, left, right), (height, width) = window, size
    rows = (height - bottom, height - top) if orientation & 1 else (top, bottom)
    columns = (width - right, width - left) if orientation & 2 else (left, right)
    return np.array([*columns, *rows] if orientation & 4 else [*rows, *columns], np.int32)
