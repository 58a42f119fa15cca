"""Notice a loss that has risen and stays up, although it is finite: a training that collapsed."""

from __future__ import annotations

import collections
import math

import numpy as np


class RisingLoss:
    """Compare the median of the latest losses with the lowest such median so far.

    The median ignores single updates whose loss is very large.

    Args:
      most: a median of more than ``most`` times the lowest counts as collapse; 0 for never.
      steps: number of losses in a median.
      start: number of updates before the first loss.
    """

    def __init__(self, most: float, steps: int, start: int):
        self._most = most
        self._latest: collections.deque[float] = collections.deque(maxlen=steps)
        self._lowest = math.inf
        self.sound_step = start  # the last step before the rise, at which the median was below √most times the lowest
        self.rise = 1.0  # the latest median divided by the lowest

    def forget(self) -> None:
        """Forget all losses: those that follow are of another kind, as in another stage."""
        self._latest.clear()
        self._lowest = math.inf

    def is_seen(self, step: int, loss: float) -> bool:
        """Take the loss of a step, and say whether the training has collapsed. Losses must be finite to count."""
        if not self._most or not math.isfinite(loss):
            return False
        self._latest.append(loss)
        if len(self._latest) < (self._latest.maxlen or 0):
            self.sound_step = step
            return False
        median = float(np.median(self._latest))
        self._lowest = min(self._lowest, median)
        self.rise = median / self._lowest if self._lowest > 0 else 1.0
        if self.rise <= self._most**0.5:
            self.sound_step = step
        return self.rise > self._most
