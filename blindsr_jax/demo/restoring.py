"""One run of the page: a picture through a model, with progress on the way."""

from __future__ import annotations

import contextlib
import threading
import typing

import numpy as np

from blindsr_jax.demo.known_blur import interpolated
from blindsr_jax.errors import OutOfMemory
from blindsr_jax.inference import memory
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restore import Restored, restore_bands
from blindsr_jax.networks.unfolded import Unfolded
from blindsr_jax.pictures import from_unit

if typing.TYPE_CHECKING:
    from blindsr_jax.inference.model import Model
    from blindsr_jax.inference.solver import Pipeline

# LR pixels up to which a picture is computed whole, with every unfolded step kept; larger ones go in tiles.
WHOLE = 2**18
TILE = 256  # side, LR pixels: small enough that one hears of progress, and can stop, every few seconds
_GRID = 64  # sides of canvases are multiples of this, so that most pictures of one camera share a program

# One program at a time, also where a run was stopped whose last program still computes.
_COMPUTING = threading.Lock()


class Progress(typing.NamedTuple):
    """How far a run is.

    Attributes:
      share: 0 to 1.
      text: what comes now.
    """

    share: float
    text: str


class Outcome(typing.NamedTuple):
    """What a run leaves.

    Attributes:
      image: restored, of the input's kind, s times larger.
      interpolated: bicubic interpolation, uint8 [s·H, s·W, 3].
      kernel: [K, K], found or given; None for models without one.
      steps: image and kernel after each unfolded step; empty where they cannot be told apart, or were not kept.
    """

    image: np.ndarray
    interpolated: np.ndarray
    kernel: np.ndarray | None
    steps: list[Restored]


def run(
    model: Model | Pipeline, pixels: np.ndarray, kernel: np.ndarray | None = None
) -> typing.Iterator[Progress | Outcome]:
    """Restores one picture.

    Args:
      model: one that restores.
      pixels: as for ``Model.restore``.
      kernel: the blur if it is known, [K, K]; else the model finds it.

    Yields:
      Progress, several times; at the end the Outcome. Who stops asking stops the run.

    Raises:
      DataError: as ``Model.restore``.
    """
    size = pixels.shape[:2]
    yield Progress(0.05, "interpolating, to compare with")
    rgb = from_unit(Pixels(pixels).rgb(), np.dtype(np.uint8))
    with _COMPUTING:
        before = interpolated(rgb, model.scale, model.downsample)
    if size[0] * size[1] <= WHOLE:
        yield Progress(0.15, "finding the blur and restoring" if kernel is None else "restoring")
        restored: list[Restored] = []
        with contextlib.suppress(OutOfMemory), _COMPUTING, memory.bounded():
            restored = _whole(_on_canvas(model, size), pixels, kernel)
        if restored:
            yield Outcome(restored[0].image, before, restored[0].kernel, restored[1:])
            return
    yield from _in_tiles(model, pixels, kernel, before)


def _whole(model: Model | Pipeline, pixels: np.ndarray, kernel: np.ndarray | None) -> list[Restored]:
    """The restored picture and its kernel; then what each unfolded step knew, if there are several."""
    given = Pixels(pixels)
    output = model(given.rgb()[None], kernel=kernel, trace=True)
    found = None if output.kernel is None else np.asarray(output.kernel[0])
    trace = output.trace
    images = model.module.reported(trace.sr) if isinstance(model.module, Unfolded) else trace.sr
    kernels = [found] * len(images) if trace.kernel is None else list(np.asarray(trace.kernel)[:, 0])
    steps = [(output.sr, found)] + [(image, one) for image, one in zip(images, kernels) if len(images) > 1]
    return [Restored(given.finish(np.asarray(image[0]), model.scale), one, None) for image, one in steps]


def _in_tiles(
    model: Model | Pipeline, pixels: np.ndarray, kernel: np.ndarray | None, before: np.ndarray
) -> typing.Iterator[Progress | Outcome]:
    yield Progress(0.15, "looking at the picture as a whole" if kernel is None else "restoring, tile by tile")
    size = (min(side, TILE) for side in pixels.shape[:2])
    with _COMPUTING:
        restoration = restore_bands(_on_canvas(model, tuple(size)), pixels, kernel=kernel, tile=TILE, bounded=True)
    image, done = np.empty(restoration.shape, restoration.dtype), 0
    bands = iter(restoration.bands)
    while done < len(image):
        with _COMPUTING:
            band = next(bands)
        image[done : done + len(band)] = band
        done += len(band)
        yield Progress(0.15 + 0.85 * done / len(image), "restoring, tile by tile")
    yield Outcome(image, before, restoration.kernel, [])


def _on_canvas(model: Model | Pipeline, size: tuple[int, int]) -> Model | Pipeline:
    """The model on a canvas a little larger than the size, where it takes any."""
    if not model.takes_canvas:
        return model
    return model.on_canvases([tuple(-(-side // _GRID) * _GRID for side in size)])
