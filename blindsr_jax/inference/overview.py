"""What tiles are told of the whole image: its blur, and the means of channel attention.

The blur is estimated once. A DAN finds it in small patches that lie evenly all over the image, as if they were the
image: its means are over all of them. Then, where a network has channel attention, all tiles are looked at once before
they are restored, for the means over the image that attention needs. These depend on the means of the blocks before,
for which those of the patches are taken, so they are not exact, but nearly: see ``docs/models.md``.
"""

from __future__ import annotations

import functools
import math
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.kernels import dirac
from blindsr_jax.errors import OutOfMemory
from blindsr_jax.inference.canvases import padded, valid_size_of
from blindsr_jax.inference.checks import checked_kernels, fit_kernel, memory_errors
from blindsr_jax.inference.memory import checked
from blindsr_jax.inference.texture import window_of
from blindsr_jax.networks.region import Region

if typing.TYPE_CHECKING:
    from blindsr_jax.inference.model import Model
    from blindsr_jax.inference.pixels import Pixels
    from blindsr_jax.inference.solver import Pipeline

_PATCH, _EDGE = 64, 8  # sides of patches in LR pixels, and how much of them is left out of means: it saw the border
_COUNT = 64  # patches, in any case, so that one program serves all images
_WHOLE = 2**20  # LR pixels that an estimator looks at; of larger images it sees the most textured part
Means = dict[str, typing.Any]


class Overview(typing.NamedTuple):
    """What is known of an image before its tiles are restored.

    Attributes:
      told: for a DAN its code [1, L] and means, see ``restore_told``; for others options of a call.
      kernel, code: what is reported: [1, K, K] and [1, L], or None.
    """

    told: dict[str, typing.Any]
    kernel: np.ndarray | None = None
    code: np.ndarray | None = None


def overview(model: Model | Pipeline, pixels: Pixels, *, kernel: np.ndarray | None, iterations: int | None) -> Overview:
    """The blur of an image, given or estimated, and what else of it tiles are told; but for the means of all tiles.

    Raises:
      DataError: as the model.
      OutOfMemory: not even a few patches fit.
    """
    options = {"iterations": iterations}
    if not model.takes_kernel:
        return Overview(options)
    if kernel is None and not model.estimates_kernel:
        return Overview(options | {"kernel": None})  # the model says what is missing
    if not model.takes_canvas:  # a pipeline, or a DAN with a part that takes no region
        if kernel is None:
            estimator = getattr(model, "estimator", None)
            kernel = _estimate(model, pixels, iterations) if estimator is None else _estimate(estimator, pixels)
        kernel = checked_kernels(kernel)[:1]
        return Overview(options | {"kernel": kernel}, kernel)
    count = _COUNT
    while True:
        try:
            return _of_patches(model, *patches(pixels, count), kernel, iterations)
        except OutOfMemory:
            if count == 1:
                raise
            count //= 4


def patches(pixels: Pixels, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches that lie evenly all over an image, in as many rows as suit its form.

    Args:
      pixels: the image.
      count: of the patches, a power of two.

    Returns:
      [B, h, w, 3], and their windows [B, 4], see ``networks.region``.
    """
    height, width = pixels.size
    aspect = math.log2(count * height / width) / 2
    down = 2 ** int(np.clip(round(aspect), 0, math.log2(count)))
    sides = min(height, _PATCH), min(width, _PATCH)
    tops, lefts = (
        np.linspace(0, length - side, number).round().astype(int)
        for length, side, number in zip(pixels.size, sides, (down, count // down))
    )
    found = [pixels.rgb(slice(y, y + sides[0]), slice(x, x + sides[1])) for y in tops for x in lefts]
    edges = [_EDGE if side == _PATCH else 0 for side in sides]
    window = [edges[0], sides[0] - edges[0], edges[1], sides[1] - edges[1]]
    return np.stack(found), np.array([window] * len(found), np.int32)


def restore_told(
    model: Model, tiles: np.ndarray, windows: np.ndarray, told: dict[str, typing.Any]
) -> tuple[np.ndarray, Means]:
    """Tiles by a DAN that is told its kernel's code and means.

    Args:
      model: the DAN.
      tiles: [B, h, w, 3].
      windows: [B, 4], parts of the tiles, see ``networks.region``.
      told: of an ``Overview`` of a DAN.

    Returns:
      The restored tiles [B, s·h, s·w, 3], and the means that channel attention would have seen in the windows.
    """
    code = np.broadcast_to(told["kernel_code"], (len(tiles), told["kernel_code"].shape[1]))
    images, placed = model.placed(tiles)
    variables, region = model.variables | {"means": told["means"]}, placed.get("region", Region())
    with memory_errors(images):
        found = checked(_restored, model.module, variables, images, region._replace(windows=windows), code)
        sr, means = jax.device_get(found)
    height, width = (model.scale * side for side in tiles.shape[1:3])
    return sr[:, :height, :width], means


def _estimate(estimator: Model, pixels: Pixels, iterations: int | None = None) -> np.ndarray:
    """By a DAN from patches if it takes a region; else from the whole image if it is not large."""
    if estimator.takes_canvas:
        return overview(estimator, pixels, kernel=None, iterations=iterations).kernel
    if math.prod(pixels.size) <= _WHOLE:
        try:
            return np.asarray(estimator(pixels.rgb()[None], iterations=iterations).kernel)
        except OutOfMemory:
            pass
    window = window_of(pixels.size, lambda rows: pixels.rgb(rows), estimator.window or 512)
    return np.asarray(estimator(pixels.rgb(*window)[None], iterations=iterations).kernel)


def _of_patches(
    model: Model, images: np.ndarray, windows: np.ndarray, kernel: np.ndarray | None, iterations: int | None
) -> Overview:
    given = {} if kernel is None else {"kernel": fit_kernel(kernel, model.module.kernel_size)[:1]}
    region = Region(valid_size_of(images), windows)
    with memory_errors(images):
        arguments = model.module, model.variables, padded((_PATCH, _PATCH), images), region, given
        found = checked(_found, *arguments, iterations=iterations)
    kernel, code, told, means = jax.device_get(found)
    return Overview({"kernel_code": told, "means": means}, kernel, code)


@functools.partial(jax.jit, static_argnums=0, static_argnames="iterations")
def _found(
    module: nn.Module,
    variables: dict[str, typing.Any],
    images: jax.Array,
    region: Region,
    given: dict[str, jax.Array],
    *,
    iterations: int | None,
) -> tuple[jax.Array, jax.Array, jax.Array, Means]:
    """Kernel and code that are found, or given; the code of the last image, which is the step's before; and the means.

    Images are parts of one image.
    """
    shared = {name: jnp.broadcast_to(x, (len(images), *x.shape[1:])) for name, x in given.items()}
    if not given:
        steps = module.apply(variables, images, region=region, iterations=iterations, trace=True).trace
        before = steps.kernel_code[-2] if len(steps.kernel_code) > 1 else None
        shared = {"kernel": _nothing_known(module, images)} if before is None else {"kernel_code": before}
    told, noted = module.apply(variables, images, region=region, **shared, mutable=["means"])
    kernel, code = (told.kernel, told.kernel_code) if given else (steps.kernel[-1], steps.kernel_code[-1])
    return kernel[:1], code[:1], told.kernel_code[:1], noted.get("means", {})


@functools.partial(jax.jit, static_argnums=0)
def _restored(
    module: nn.Module,
    variables: dict[str, typing.Any],
    images: jax.Array,
    region: Region,
    code: jax.Array,
) -> tuple[jax.Array, Means]:
    output, noted = module.apply(variables, images, region=region, kernel_code=code, mutable=["means"])
    return output.sr, noted.get("means", {})


def _nothing_known(module: nn.Module, images: jax.Array) -> jax.Array:
    """The kernel with which the first step makes its image."""
    kernel = dirac(module.kernel_size)
    return jnp.broadcast_to(kernel, (len(images), *kernel.shape))
