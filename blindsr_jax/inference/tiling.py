"""Large images in tiles, one or several at a time: the blur is estimated once, the tiles overlap and are blended.

What a network knows of the whole image, it now knows of a part. The kernel is estimated from the most textured tile
(by KernelNet from its own window or, where that fits into memory, the whole image) and then given to all tiles, which
need one unfolded step, not T. The means of channel attention (DANv1) are those of each tile: tiles differ slightly from
the whole image, see ``docs/models.md`` for how much.
"""

from __future__ import annotations

import itertools
import math
import typing

import jax
import numpy as np
from tqdm import tqdm

from blindsr_jax.errors import DataError, OutOfMemory
from blindsr_jax.inference.texture import most_textured
from blindsr_jax.types import SROutput

if typing.TYPE_CHECKING:
    from blindsr_jax.inference.model import Model
    from blindsr_jax.inference.solver import Pipeline

# LR pixels that neighbouring tiles share at least, and of these what is thrown away on either side: pixels that saw the
# tile's border. Between them the tiles pass into each other.
OVERLAP, MARGIN = 32, 8
SMALLEST = 64
_BATCH = 2**20  # LR pixels of tiles that an accelerator is given at once; on CPU more than one tile gains nothing


def plan(length: int, tile: int, overlap: int = OVERLAP) -> list[int]:
    """Where tiles of one size begin that cover a length, evenly spread.

    Args:
      length: pixels to cover.
      tile: pixels of each tile, more than ``overlap``.
      overlap: pixels that neighbours share at least.

    Returns:
      First pixels; a single 0 if one tile is enough.
    """
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def blending_weights(length: int, *, first: bool, last: bool, scale: int = 1) -> np.ndarray:
    """Weights of a tile's pixels along an axis: zero in the margin, then rising to one where the overlap ends.

    Args:
      length: of the tile, LR pixels.
      first, last: whether the tile begins or ends where the image does; there nothing is thrown away.
      scale: s.

    Returns:
      [s·length] in [0, 1].
    """
    position = (np.arange(scale * length) + 0.5) / scale
    ramp = OVERLAP - 2 * MARGIN
    rising = 1.0 if first else np.clip((position - MARGIN) / ramp, 0, 1)
    falling = 1.0 if last else np.clip((length - position - MARGIN) / ramp, 0, 1)
    return np.broadcast_to(np.minimum(rising, falling), position.shape)


def usual_batch(tile: int) -> int:
    """How many tiles of a side this machine is given at once, unless its user says otherwise."""
    return 1 if jax.default_backend() == "cpu" else max(1, _BATCH // tile**2)


def restore_tiles(
    model: Model | Pipeline,
    run: typing.Callable[..., SROutput],
    image: np.ndarray,
    tile: int,
    *,
    kernel: np.ndarray | None,
    iterations: int | None,
    at_once: int = 1,
) -> SROutput:
    """Restores an image tile by tile; tiles that do not fit into memory are taken one at a time, then halved.

    Args:
      model: a model that restores.
      run: the model itself, or what else restores a batch with it (self-ensemble).
      image: [H, W, 3] in [0, 1].
      tile: side of a tile in LR pixels, at least 64.
      kernel, iterations: see ``Model.__call__``.
      at_once: tiles that are one batch.

    Returns:
      SROutput of a batch of one, with the kernel that all tiles share.

    Raises:
      DataError: the tile is too small, or as the model.
      OutOfMemory: not even the smallest tile fits.
    """
    if tile < SMALLEST:
        raise DataError(f"a tile of {tile}x{tile} pixels is smaller than its overlap allows: take {SMALLEST} or more")
    if getattr(model, "border", "reflect") == "circular":
        raise DataError("tiles do not wrap around as the image does: restore it whole, or with border='reflect'")
    while True:
        try:
            known = {"kernel": kernel} if kernel is not None else estimate_once(model, run, image, tile, iterations)
            options = known | ({} if "kernel_code" in known else {"iterations": iterations})
            first, sr = _blend(model, run, image, tile, at_once, options)
            kernel, code = (None if x is None else np.asarray(x)[:1] for x in (first.kernel, first.kernel_code))
            return SROutput(sr=sr[None], kernel=kernel, kernel_code=code)
        except OutOfMemory:
            if at_once == 1 and tile // 2 < SMALLEST:
                raise
            at_once, tile = 1, tile if at_once > 1 else tile // 2


def estimate_once(
    model: Model | Pipeline, run: typing.Callable[..., SROutput], image: np.ndarray, tile: int, iterations: int | None
) -> dict[str, typing.Any]:
    """The blur that all tiles are told, as options of a call; none for models that do not use one."""
    if not model.takes_kernel:
        return {}
    if not model.estimates_kernel:
        return {"kernel": None}  # the model says what is missing
    estimator = getattr(model, "estimator", None)
    if estimator is not None and not estimator.restores:
        try:
            return {"kernel": np.asarray(estimator(image[None]).kernel)}
        except OutOfMemory:
            return {"kernel": np.asarray(estimator.within(tile)(image[None]).kernel)}
    sample = run(most_textured(image[None], tile), kernel=None, iterations=iterations)
    if run is model and sample.kernel_code is not None:
        return {"kernel_code": np.asarray(sample.kernel_code)}
    return {"kernel": np.asarray(sample.kernel)}


def _blend(
    model: Model | Pipeline,
    run: typing.Callable[..., SROutput],
    image: np.ndarray,
    tile: int,
    at_once: int,
    options: dict[str, typing.Any],
) -> tuple[SROutput, np.ndarray]:
    """What the first batch of tiles gives, and the whole image [sH, sW, 3]."""
    scale = model.scale
    (height, width), tops, lefts = image.shape[:2], plan(image.shape[0], tile), plan(image.shape[1], tile)
    rows, columns = min(tile, height), min(tile, width)
    total = np.zeros((scale * height, scale * width, 3), np.float32)
    weight = np.zeros((scale * height, scale * width, 1), np.float32)
    first = None
    places = list(itertools.product(tops, lefts))
    batches = [places[i : i + at_once] for i in range(0, len(places), at_once)]
    for batch in tqdm(batches, "tiles", unit="batch", leave=False, delay=2, disable=None):
        full = batch + batch[-1:] * (at_once - len(batch))  # the last one too, so that all are of one shape
        output = run(np.stack([image[top : top + rows, left : left + columns] for top, left in full]), **options)
        first = first or output
        for (top, left), sr in zip(batch, np.asarray(output.sr)):
            down = blending_weights(rows, first=top == 0, last=top + rows == height, scale=scale)
            across = blending_weights(columns, first=left == 0, last=left + columns == width, scale=scale)
            here = np.s_[scale * top : scale * (top + rows), scale * left : scale * (left + columns)]
            part = (down[:, None] * across)[..., None]
            total[here] += part * sr
            weight[here] += part
    return first, total / weight
