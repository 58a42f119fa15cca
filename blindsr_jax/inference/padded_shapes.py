"""Common shapes for a set of pictures: padding to them saves compilations and wastes little computation.

A program is compiled for one shape. All images that are padded to a shape (``networks.region``) share its program, but
padding costs as much time as pixels do. Everything here is NumPy, because on an accelerator even a small operation
would be compiled for each shape.
"""

from __future__ import annotations

import collections
import dataclasses
import typing

import numpy as np

from blindsr_jax.types import SROutput

Size = tuple[int, int]  # height and width in LR pixels

# Sides of shapes are multiples of this, so later runs find their programs in the compilation cache.
GRID = 32
# The most programs that restore a set of pictures.
PROGRAMS = 3
_MANY = 256  # most distinct sizes; more are rounded up to a coarser grid


def shared_shapes(sizes: typing.Sequence[Size], *, tiled: bool, turned: bool = False) -> list[Size]:
    """Choose padded shapes for pictures, so that restoring them takes at most ``PROGRAMS`` programs.

    Args:
      sizes: sizes of the pictures that are restored whole.
      tiled: whether other pictures are restored in tiles. Tiles take two programs: one estimates the blur, the other
        restores.
      turned: whether pictures are also turned by a right angle (self-ensemble).

    Returns:
      Shapes, such that each picture fits into one. Empty if there are so few sizes that each can have a program.
    """
    sizes = [*sizes, *(size[::-1] for size in sizes)] if turned else list(sizes)
    most = PROGRAMS - 2 if tiled else PROGRAMS
    return few(sizes, most) if len(set(sizes)) > most else []


def few(sizes: typing.Sequence[Size], most: int) -> list[Size]:
    """Choose at most ``most`` shapes that hold all sizes with little padding.

    The search starts with one shape for each size and repeatedly merges the pair of shapes that adds the least padding.
    Finally each size moves to the smallest shape that holds it, and each shape shrinks to fit its sizes.
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
    """Find the shape with the smallest area that holds a size; None if no shape does."""
    fitting = [shape for shape in shapes if shape[0] >= size[0] and shape[1] >= size[1]]
    return min(fitting, key=lambda shape: shape[0] * shape[1], default=None)


def padded(shape: Size, images: np.ndarray) -> np.ndarray:
    """Pad images [B, H, W, 3] with zeros, below and on the right, to a shape."""
    whole = np.zeros((images.shape[0], *shape, 3), np.float32)
    whole[:, : images.shape[1], : images.shape[2]] = images
    return whole


def valid_size_of(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height and width of images [B, H, W, 3] as arrays, the arguments of a program for padded images."""
    return np.array(images.shape[1], np.int32), np.array(images.shape[2], np.int32)


def cropped(output: SROutput, height: int, width: int) -> SROutput:
    """Crop all images of an output to their upper left ``height`` by ``width`` pixels."""

    def part(x: np.ndarray | None) -> np.ndarray | None:
        return None if x is None else x[..., :height, :width, :]

    trace = output.trace and dataclasses.replace(
        output.trace, sr=part(output.trace.sr), detail=part(output.trace.detail)
    )
    return dataclasses.replace(output, sr=part(output.sr), trace=trace)


def _rounded(sizes: typing.Sequence[Size]) -> dict[Size, int]:
    """Round sizes up to a grid and count them; the grid is coarse enough to leave at most ``_MANY`` sizes."""
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
