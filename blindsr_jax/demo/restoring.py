"""Restore a picture for the page and report progress."""

from __future__ import annotations

import contextlib
import threading
import typing

import numpy as np

from blindsr_jax.demo.synthetic_test import interpolated
from blindsr_jax.errors import OutOfMemory
from blindsr_jax.inference import memory
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restore import Restored, restore_bands
from blindsr_jax.inference.restorer import Restorer
from blindsr_jax.pictures import from_unit

# LR pixels; the steps of pictures up to this size are kept and shown.
STEPS = 2**18

# Only one program runs at a time. The last program of a stopped run may still be computing.
_COMPUTING = threading.Lock()


class Progress(typing.NamedTuple):
    """The progress of a run.

    Attributes:
      share: finished share, 0 to 1.
      text: the current stage.
    """

    share: float
    text: str


class Outcome(typing.NamedTuple):
    """The result of a run.

    Attributes:
      image: the restored image, of the input's kind and s times larger.
      interpolated: bicubic interpolation, uint8 [s·H, s·W, 3].
      kernel: [K, K], estimated or given; None for models without kernels.
      steps: image and kernel after each unfolded step; empty if there is only one step or they were not kept.
      too_large: whether the steps were not kept because the picture is too large.
    """

    image: np.ndarray
    interpolated: np.ndarray
    kernel: np.ndarray | None
    steps: list[Restored]
    too_large: bool = False


def run(model: Restorer, pixels: np.ndarray, kernel: np.ndarray | None = None) -> typing.Iterator[Progress | Outcome]:
    """Restore one picture; the pixels are those of ``model.restore``.

    Args:
      model: a model that restores images.
      pixels: as for ``Model.restore``.
      kernel: the blur kernel [K, K], or None for the model to estimate it.

    Yields:
      Progress several times, and the Outcome at the end. Closing the generator stops the run.

    Raises:
      DataError: as ``Model.restore``.
    """
    yield Progress(0.05, "interpolating, to compare with")
    rgb = from_unit(Pixels(pixels).rgb(), np.dtype(np.uint8))
    with _COMPUTING:
        before = interpolated(rgb, model.scale, model.downsample)
    yield Progress(0.15, "finding the blur and restoring" if kernel is None else "restoring")
    if pixels.shape[0] * pixels.shape[1] <= STEPS:
        restored: list[Restored] = []
        with contextlib.suppress(OutOfMemory), _COMPUTING, memory.bounded():
            restored = _with_steps(model, pixels, kernel)
        if restored:
            yield Outcome(restored[0].image, before, restored[0].kernel, restored[1:])
            return
    yield from _by_bands(model, pixels, kernel, before)


def _with_steps(model: Restorer, pixels: np.ndarray, kernel: np.ndarray | None) -> list[Restored]:
    """Restore the picture whole: the result first, then that of each unfolded step if there are several."""
    given = Pixels(pixels)
    output = model(given.rgb()[None], kernel=kernel, trace=True)
    found = None if output.kernel is None else np.asarray(output.kernel[0])
    images, traced = model.reported(output.trace.sr), output.trace.kernel
    kernels = [found] * len(images) if traced is None else list(np.asarray(traced)[:, 0])
    steps = [(output.sr, found)] + [(image, one) for image, one in zip(images, kernels) if len(images) > 1]
    return [Restored(given.finish(np.asarray(image[0]), model.scale), one, None) for image, one in steps]


def _by_bands(
    model: Restorer, pixels: np.ndarray, kernel: np.ndarray | None, before: np.ndarray
) -> typing.Iterator[Progress | Outcome]:
    with _COMPUTING:
        restored = restore_bands(model, pixels, kernel=kernel)
    image, done = np.empty(restored.shape, restored.dtype), 0
    while done < len(image):
        with _COMPUTING:
            band = next(restored.bands)
        image[done : done + len(band)] = band
        done += len(band)
        yield Progress(0.15 + 0.85 * done / len(image), "restoring")
    yield Outcome(image, before, restored.kernel, [], too_large=model.unfolds)
