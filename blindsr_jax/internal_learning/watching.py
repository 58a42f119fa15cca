"""Progress of a method that learns from a picture."""

from __future__ import annotations

import typing

import numpy as np


class Learned(typing.NamedTuple):
    """How far the learning is.

    Attributes:
      task: what is learned, such as ``KernelGAN``.
      step, steps: the number of finished iterations, and of all.
      kernel: [K, K], the kernel as it is now; None if an image is learned.
    """

    task: str
    step: int
    steps: int
    kernel: np.ndarray | None = None


Watch = typing.Callable[[Learned], None]


def unwatched(_: Learned) -> None:
    """Watch nothing."""
