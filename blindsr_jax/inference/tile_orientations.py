"""``Parts``: restores tiles of one image, told what is known of all of it; in eight orientations if asked for."""

from __future__ import annotations

import functools
import typing

import numpy as np

from blindsr_jax.inference.overview import Overview, overview, restore_told
from blindsr_jax.inference.self_ensemble import mean_kernel, refuse_s_fold, turned, turned_back

if typing.TYPE_CHECKING:
    from blindsr_jax.inference.model import Model
    from blindsr_jax.inference.pixels import Pixels
    from blindsr_jax.inference.solver import Pipeline

Tree = dict[str, typing.Any]  # of arrays


class Parts:
    """A model that restores tiles of one image. Each orientation has a blur and means of its own.

    Args:
      model: a model that restores.
      pixels: the image.
      kernel, iterations: see ``Model.__call__``.
      self_ensemble: whether tiles are restored in all eight orientations.

    Attributes:
      kernel, code: what is known of the blur, [1, K, K] and [1, L], or None.

    Raises:
      DataError, OutOfMemory: as ``overview``; DataError as ``average_of_eight``.
    """

    def __init__(
        self,
        model: Model | Pipeline,
        pixels: Pixels,
        *,
        kernel: np.ndarray | None,
        iterations: int | None,
        self_ensemble: bool,
    ):
        if self_ensemble:
            refuse_s_fold(model)
        self.model, self.kernel, self.code = model, None, None
        self._seen: list[Overview] = []
        for orientation in range(8 if self_ensemble else 1):
            view = pixels.seen_from(functools.partial(turned, orientation=orientation, rows=0))
            known = None if kernel is None else turned(np.asarray(kernel), orientation, rows=-2)
            self._seen.append(overview(model, view, kernel=known, iterations=iterations))
        if self_ensemble:
            self.kernel, self.code = mean_kernel(model, [seen.kernel for seen in self._seen])
        else:
            _, self.kernel, self.code = self._seen[0]

    @property
    def wants_means(self) -> bool:
        """Whether there is something to be learnt from a look at all tiles."""
        return bool(self._seen[0].told.get("means"))

    def means(self, tiles: np.ndarray, windows: np.ndarray) -> list[Tree]:
        """The means of windows [B, 4] in a batch of tiles [B, h, w, 3], for each orientation."""
        found = []
        for orientation, seen in enumerate(self._seen):
            turn = functools.partial(turned, orientation=orientation, rows=1)
            across = np.stack([_turned_window(window, tiles.shape[1:3], orientation) for window in windows])
            found.append(restore_told(self.model, turn(tiles), across, seen.told)[1])
        return found

    def tell(self, means: list[Tree]) -> None:
        """The means of the whole image, for each orientation."""
        self._seen = [seen._replace(told=seen.told | {"means": one}) for seen, one in zip(self._seen, means)]

    def restore(self, tiles: np.ndarray) -> np.ndarray:
        """A batch [B, h, w, 3], restored: [B, s·h, s·w, 3]."""
        images = (
            turned_back(self._restore(turned(tiles, orientation, rows=1), seen), orientation, rows=1)
            for orientation, seen in enumerate(self._seen)
        )
        return sum(images) / len(self._seen) if len(self._seen) > 1 else next(images)

    def _restore(self, tiles: np.ndarray, seen: Overview) -> np.ndarray:
        if "means" not in seen.told:
            return np.asarray(self.model(tiles, **seen.told).sr)
        everything = np.array([[0, tiles.shape[1], 0, tiles.shape[2]]] * len(tiles), np.int32)
        return np.asarray(restore_told(self.model, tiles, everything, seen.told)[0])


def _turned_window(window: np.ndarray, size: tuple[int, int], orientation: int) -> np.ndarray:
    """Where a window's first and last but one row and column lie in a tile that is turned."""
    (top, bottom, left, right), (height, width) = window, size
    rows = (height - bottom, height - top) if orientation & 1 else (top, bottom)
    columns = (width - right, width - left) if orientation & 2 else (left, right)
    return np.array([*columns, *rows] if orientation & 4 else [*rows, *columns], np.int32)
