"""Sub-images of training photographs: windows on a grid, the usual preparation for training."""

from __future__ import annotations

import dataclasses
import typing

from blindsr_jax.errors import DataError, UsageError

ENCODINGS = ("png", "raw")


class Window(typing.NamedTuple):
    """A rectangle in an image, in pixels from the upper left corner."""

    top: int
    left: int
    height: int
    width: int


@dataclasses.dataclass(frozen=True)
class Cutting:
    """How images are cut and stored.

    Attributes:
      size: side of a sub-image in pixels.
      step: pixels from one sub-image to the next, at most ``size``, so that they leave no gaps.
      smallest: least height and width of an image. An image with a side below ``size`` is kept whole.
      encoding: ``png``, or ``raw`` pixels, which take twice the space and no time to decode.

    Raises:
      DataError: a value is out of range.
    """

    size: int = 480
    step: int = 240
    smallest: int = 480
    encoding: str = "png"

    def __post_init__(self):
        if not 1 <= self.step <= self.size:
            raise UsageError(f"step must be 1 to {self.size}, the size of a sub-image, got {self.step}")
        if not 1 <= self.smallest <= self.size:
            raise DataError(f"smallest must be 1 to {self.size}, the size of a sub-image, got {self.smallest}")
        if self.encoding not in ENCODINGS:
            raise DataError(f"encoding must be one of {', '.join(ENCODINGS)}, got {self.encoding!r}")

    def windows(self, height: int, width: int) -> list[Window]:
        """The sub-images of an image, row by row. The last of each row and column touches the border.

        >>> [window[:2] for window in Cutting(size=4, step=3, smallest=2).windows(4, 9)]
        [(0, 0), (0, 3), (0, 5)]
        """
        if min(height, width) < self.smallest:
            return []
        if min(height, width) < self.size:
            return [Window(0, 0, height, width)]
        return [Window(top, left, self.size, self.size) for top in self._starts(height) for left in self._starts(width)]

    def _starts(self, side: int) -> list[int]:
        last = side - self.size
        regular = list(range(0, last + 1, self.step))
        return regular if regular[-1] == last else [*regular, last]
