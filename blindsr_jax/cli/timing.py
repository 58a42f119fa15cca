"""Measure a model's time and memory for a picture on this machine."""

from __future__ import annotations

import dataclasses
import statistics
import time
import typing

import jax
import numpy as np

from blindsr_jax.degradations.kernels import isotropic_gaussian
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.inference.restorer import Restorer

_WIDTH, _KERNEL = 2.0, 21  # width and size of the Gaussian for models that need a kernel


@dataclasses.dataclass(frozen=True)
class Timing:
    """Time and memory for square pictures of one size.

    Attributes:
      side: side of the LR picture in pixels.
      first_seconds: time of the first call: tracing, compiling (or reading a cached program) and computing.
      seconds: time of each later call.
      pixels: number of pixels of the restored picture; of the LR picture if the model only estimates kernels.
      temporaries: the most bytes that one of its programs allocates besides weights, input and result. None if this
        size compiled no program, which can happen with solvers.
    """

    side: int
    first_seconds: float
    seconds: tuple[float, ...]
    pixels: int
    temporaries: int | None

    @property
    def median(self) -> float:
        """Median of ``seconds``."""
        return statistics.median(self.seconds)

    @property
    def megapixels_per_second(self) -> float:
        """Megapixels of ``pixels`` per second, without compilation."""
        return self.pixels / self.median / 1e6

    @property
    def bytes_per_pixel(self) -> float | None:
        """Temporaries divided by ``pixels``; None if they are unknown."""
        return None if self.temporaries is None else self.temporaries / self.pixels


def time_model(
    model: Restorer,
    side: int,
    repeats: int,
    *,
    advance: typing.Callable[[], typing.Any] = lambda: None,
    iterations: int | None = None,
    self_ensemble: bool = False,
) -> Timing:
    """Time ``restore_image``, including its conversions, on a random picture.

    Args:
      model: the model; it gets a Gaussian kernel if it needs one.
      side: side of the LR picture in pixels. This process must not have restored this size yet, because the first call
        should compile.
      repeats: number of calls after the first.
      advance: function to call after each of the ``repeats + 1`` calls.
      iterations, self_ensemble: see ``restore_image``.

    Raises:
      DataError: the model cannot restore pictures of this size.
    """
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    kernel = np.asarray(isotropic_gaussian(_WIDTH, _KERNEL)) if model.needs_kernel else None

    def call() -> float:
        start = time.perf_counter()
        restore_image(model, image, kernel=kernel, iterations=iterations, self_ensemble=self_ensemble, image_only=True)
        seconds = time.perf_counter() - start
        advance()
        return seconds

    before = _programs()
    first = call()
    new = [program for key, program in _programs().items() if key not in before]
    return Timing(
        side,
        first,
        tuple(call() for _ in range(repeats)),
        (side * (model.scale if model.restores else 1)) ** 2,
        max(map(_temporaries, new), default=None),
    )


def _programs() -> dict[int, typing.Any]:
    """All compiled programs of this process. Holding them keeps their ids unique."""
    return {id(program): program for program in jax.devices()[0].client.live_executables()}


def _temporaries(program: typing.Any) -> int:
    return program.get_compiled_memory_stats().temp_size_in_bytes
