"""How long a model takes for a picture on this machine, and how much memory."""

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

_WIDTH, _KERNEL = 2.0, 21  # of the Gaussian for models that cannot find the blur


@dataclasses.dataclass(frozen=True)
class Timing:
    """Of square pictures of one size.

    Attributes:
      side: of the LR picture, in pixels.
      first_seconds: the first call: tracing, compiling (or reading what an earlier command compiled), computing.
      seconds: each later call.
      pixels: of the restored picture; of the LR one if the model only estimates kernels.
      temporaries: bytes that the largest of its programs sets aside besides weights, input and result; None if all
        were compiled for another size before, as a solver's may be.
    """

    side: int
    first_seconds: float
    seconds: tuple[float, ...]
    pixels: int
    temporaries: int | None

    @property
    def median(self) -> float:
        """Seconds of a later call."""
        return statistics.median(self.seconds)

    @property
    def megapixels_per_second(self) -> float:
        """Of ``pixels``, once compiled."""
        return self.pixels / self.median / 1e6

    @property
    def bytes_per_pixel(self) -> float | None:
        """Temporaries for each of ``pixels``, where they are known."""
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
    """Restores a random picture again and again, as ``restore_image`` does, its conversions included.

    Args:
      model: gets a Gaussian kernel if it needs one.
      side: of the LR picture, in pixels; of a size that this process has not restored yet, so that the first call
        compiles.
      repeats: calls after the first.
      advance: called after each of the ``repeats + 1`` calls.
      iterations, self_ensemble: of ``restore_image``.

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
    """All compiled programs of this process; they stay alive as long as they are kept here."""
    return {id(program): program for program in jax.devices()[0].client.live_executables()}


def _temporaries(program: typing.Any) -> int:
    return program.get_compiled_memory_stats().temp_size_in_bytes
