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
from blindsr_jax.inference.canvases import laid
from blindsr_jax.inference.checks import checked_kernels, fit_kernel, memory_errors
from blindsr_jax.inference.memory import checked
from blindsr_jax.inference.texture import window_of
from blindsr_jax.networks import pooling
from blindsr_jax.networks.precision import Precision, computing_in

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
    if not hasattr(model, "canvases"):
        kernel = checked_kernels(_estimate(model.estimator, pixels) if kernel is None else kernel)[:1]
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
      [B, h, w, 3], and their windows [B, 4], see ``pooling.as_one_image``.
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
      windows: [B, 4], parts of the tiles, see ``pooling.as_one_image``.
      told: of an ``Overview`` of a DAN.

    Returns:
      The restored tiles [B, s·h, s·w, 3], and the means that channel attention would have seen in the windows.
    """
    code = np.broadcast_to(told["kernel_code"], (len(tiles), told["kernel_code"].shape[1]))
    images, placed = model.placed(tiles)
    variables, given = model.variables | {"means": told["means"]}, placed | {"kernel_code": code}
    with memory_errors(images):
        found = checked(_restored, model.module, variables, images, windows, given, precision=model.precision)
        sr, means = jax.device_get(found)
    height, width = (model.scale * side for side in tiles.shape[1:3])
    return sr[:, :height, :width], means


def _estimate(estimator: Model, pixels: Pixels) -> np.ndarray:
    """By a kernel estimator from the whole image if it is not large, by a DAN from patches."""
    if estimator.restores:
        return overview(estimator, pixels, kernel=None, iterations=None).kernel
    if math.prod(pixels.size) <= _WHOLE:
        try:
            return np.asarray(estimator(pixels.rgb()[None]).kernel)
        except OutOfMemory:
            pass
    window = window_of(pixels.size, lambda rows: pixels.rgb(rows), estimator.window or 512)
    return np.asarray(estimator(pixels.rgb(*window)[None]).kernel)


def _of_patches(
    model: Model, images: np.ndarray, windows: np.ndarray, kernel: np.ndarray | None, iterations: int | None
) -> Overview:
    given = {} if kernel is None else {"kernel": fit_kernel(kernel, model.module.kernel_size)[:1]}
    placed = {"size": np.array(images.shape[1:3], np.int32)}
    with memory_errors(images):
        arguments = model.module, model.variables, laid((_PATCH, _PATCH), images), windows, given, placed
        found = checked(_found, *arguments, iterations=iterations, precision=model.precision)
    kernel, code, told, means = jax.device_get(found)
    return Overview({"kernel_code": told, "means": means}, kernel, code)


@functools.partial(jax.jit, static_argnums=0, static_argnames=("iterations", "precision"))
def _found(
    module: nn.Module,
    variables: dict[str, typing.Any],
    images: jax.Array,
    windows: jax.Array,
    given: dict[str, jax.Array],
    placed: dict[str, jax.Array],
    *,
    iterations: int | None,
    precision: Precision,
) -> tuple[jax.Array, jax.Array, jax.Array, Means]:
    """Kernel and code that are found, or given; the code of the last image, which is the step's before; and the means.

    Images are parts of one image.
    """
    shared = {name: jnp.broadcast_to(x, (len(images), *x.shape[1:])) for name, x in given.items()}
    with computing_in(precision), pooling.as_one_image(windows):
        if not given:
            steps = module.apply(variables, images, **placed, iterations=iterations, trace=True).trace
            before = steps.kernel_code[-2] if len(steps.kernel_code) > 1 else None
            shared = {"kernel": _nothing_known(module, images)} if before is None else {"kernel_code": before}
        told, noted = module.apply(variables, images, **placed, **shared, mutable=["means"])
    kernel, code = (told.kernel, told.kernel_code) if given else (steps.kernel[-1], steps.kernel_code[-1])
    return kernel[:1], code[:1], told.kernel_code[:1], noted.get("means", {})


@functools.partial(jax.jit, static_argnums=0, static_argnames="precision")
def _restored(
    module: nn.Module,
    variables: dict[str, typing.Any],
    images: jax.Array,
    windows: jax.Array,
    given: dict[str, jax.Array],
    *,
    precision: Precision,
) -> tuple[jax.Array, Means]:
    with computing_in(precision), pooling.as_one_image(windows):
        output, noted = module.apply(variables, images, **given, mutable=["means"])
    return output.sr, noted.get("means", {})


def _nothing_known(module: nn.Module, images: jax.Array) -> jax.Array:
    """The kernel with which the first step makes its image."""
    kernel = dirac(module.kernel_size)
    return jnp.broadcast_to(kernel, (len(images), *kernel.shape))
