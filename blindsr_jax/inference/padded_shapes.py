"""Common shapes to which a set of pictures is padded, so that few programs are compiled and little is computed in vain.

A program is compiled for one shape. Padded (``networks.region``), all images that fit into a shape share its program;
empty pixels cost as much as others. All in NumPy: on an accelerator each little operation is a program of each shape.
"""

from __future__ import annotations

import collections
import typing

import numpy as np

from blindsr_jax.types import SROutput

Size = tuple[int, int]  # height and width in LR pixels

# Sides of shapes are multiples of this, so that programs are found again in the cache of compiled ones.
GRID = 32
# Programs that restore a set of pictures.
PROGRAMS = 3
_MANY = 256  # sizes that are told apart


def shared_shapes(sizes: typing.Sequence[Size], *, tiled: bool, turned: bool = False) -> list[Size]:
    """The shapes to which pictures are padded, so that restoring them takes at most ``PROGRAMS`` programs.

    Args:
      sizes: of the pictures that are restored whole.
      tiled: whether others are restored in tiles. These take two programs: one estimates the blur, one restores tiles.
      turned: whether pictures are turned by a right angle as well (self-ensemble).

    Returns:
      Shapes; each picture fits into one. None if the sizes are few enough for each to have a program of its own.
    """
    sizes = [*sizes, *(size[::-1] for size in sizes)] if turned else list(sizes)
    most = PROGRAMS - 2 if tiled else PROGRAMS
    return few(sizes, most) if len(set(sizes)) > most else []


def few(sizes: typing.Sequence[Size], most: int) -> list[Size]:
    """At most so many shapes into which all sizes fit, with few pixels in vain.

    Beginning with a shape for each size, the two are merged that lose least by it; at the end each size moves to the
    smallest shape that holds it, and shapes shrink to what they hold.
    """
    counts = _rounded(sizes)
    shapes, weights = np.array(list(counts), np.int64).reshape(-1, 2), np.array(list(counts.values()), np.int64)
    while len(shapes) > most:
        joined = np.maximum(shapes[:, None], shapes[None])
        own = weights * shapes.prod(axis=1)
        loss = joined.prod(axis=2) * (weights[:, None] + weights) - own[:, None] - own
        loss[np.tril_indices(len(shapes))] = np.iinfo(np.int64).max
        i, j = np.unravel_index(loss.argmin(), loss.shape)
        shapes, weights = shapes.copy(), weights.copy()
        shapes[i], weights[i] = joined[i, j], weights[i] + weights[j]
        shapes, weights = np.delete(shapes, j, axis=0), np.delete(weights, j)
    return _shrunk([(int(height), int(width)) for height, width in shapes], list(counts))


def smallest(shapes: typing.Sequence[Size], size: Size) -> Size | None:
    """The shape of least area that holds a size; None if there is none."""
    fitting = [shape for shape in shapes if shape[0] >= size[0] and shape[1] >= size[1]]
    return min(fitting, key=lambda shape: shape[0] * shape[1], default=None)


def padded(shape: Size, images: np.ndarray) -> np.ndarray:
    """Images [B, H, W, 3] in the upper left corners of zeros of a shape."""
    whole = np.zeros((images.shape[0], *shape, 3), np.float32)
    whole[:, : images.shape[1], : images.shape[2]] = images
    return whole


def valid_size_of(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height and width of images [B, H, W, 3], as arguments of a compiled program that takes padded ones."""
    return np.array(images.shape[1], np.int32), np.array(images.shape[2], np.int32)


def cropped(output: SROutput, height: int, width: int) -> SROutput:
    """The upper left part of all images in an output."""

    def part(x: np.ndarray | None) -> np.ndarray | None:
        return None if x is None else x[..., :height, :width, :]

    trace = output.trace and output.trace.replace(sr=part(output.trace.sr), detail=part(output.trace.detail))
    return output.replace(sr=part(output.sr), trace=trace)


def _rounded(sizes: typing.Sequence[Size]) -> dict[Size, int]:
    """How many sizes are, rounded up, each of these; on a grid so coarse that they are not too many."""
    grid = GRID
    while True:
        counts = collections.Counter((-(-height // grid) * grid, -(-width // grid) * grid) for height, width in sizes)
        if len(counts) <= _MANY:
            return counts
        grid *= 2


def _shrunk(shapes: list[Size], sizes: list[Size]) -> list[Size]:
    while True:
        held: dict[Size, list[Size]] = {}
        for size in sizes:
            held.setdefault(smallest(shapes, size), []).append(size)
        now = [(max(height for height, _ in some), max(width for _, width in some)) for some in held.values()]
        if sorted(now) == sorted(shapes):
            return sorted(now)
        shapes = now
