"""ZSSR's learning rates: the published line through the errors, and a fixed course for a known number of steps."""

from __future__ import annotations

import math
import typing

import numpy as np

Policy = typing.Literal["annealed", "published", "numpy_1_16"]

FIRST, _LEAST = 1e-3, 9e-6
TEST_EVERY = 50  # iterations between two errors of the reconstruction
_CHECK_EVERY, _MORE_THAN = 60, 256  # iterations: when the line is looked at, and how long after the last change
_POINTS = 5
_RATIO = 1.5
_LOST = {"published": 4, "numpy_1_16": 2}  # degrees of freedom that np.polyfit takes off: NumPy 1.15 and later ones


def annealed(progress: float) -> float:
    """A learning rate that falls from 1e-3 by half a cosine to 1e-5, by the share of the steps or of the time."""
    return 1e-5 + (FIRST - 1e-5) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2


class ErrorLine:
    """The published policy: divide the rate by ten when the error of the reconstruction no longer falls.

    A line is fitted to the last five errors. It falls too slowly if −1.5 times its slope is less than the slope's
    standard deviation. NumPy 1.15, which the authors used, gives a deviation √3 times as large as later versions.

    Args:
      policy: whose standard deviation.
    """

    def __init__(self, policy: typing.Literal["published", "numpy_1_16"]):
        self.rate = FIRST
        self._lost, self._changed = _LOST[policy], 0
        self._steps: list[int] = []
        self._errors: list[float] = []

    @property
    def ended(self) -> bool:
        """Whether training ends: at the third reduction."""
        return self.rate < _LEAST

    def add(self, step: int, error: float) -> None:
        """Note the error of the reconstruction after so many iterations."""
        self._steps.append(step)
        self._errors.append(error)

    def look(self, step: int) -> None:
        """Reduce the rate if it is time to look, counted from 0, and the line falls too slowly."""
        due = (step + 1) % _CHECK_EVERY == 0 and step - self._changed > _MORE_THAN
        if not due or len(self._errors) < _POINTS:
            return
        slope, deviation = slope_of(self._steps[-_POINTS:], self._errors[-_POINTS:], self._lost)
        if -_RATIO * slope < deviation:
            self.rate /= 10
            self._changed = step


def slope_of(places: typing.Sequence[float], values: typing.Sequence[float], lost: int) -> tuple[float, float]:
    """The slope of the line of least squares through points, and its standard deviation.

    Args:
      places, values: of the n points.
      lost: the variance of the residuals is their sum of squares divided by n − ``lost``.
    """
    x, y = np.asarray(places, np.float64), np.asarray(values, np.float64)
    x = x - x.mean()
    slope = (x @ y) / (x @ x)
    residuals = y - y.mean() - slope * x
    return float(slope), math.sqrt(residuals @ residuals / (len(x) - lost) / (x @ x))
