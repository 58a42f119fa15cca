"""Which canvases a set of pictures needs, so that few programs are compiled and little is computed in vain.

A program is compiled for one shape. With images padded to it (``networks.region``), one serves all images that fit
into it, at the price of its empty pixels, which cost as much as others. All in NumPy: on an accelerator each little
operation is a program of each shape, too.
"""

from __future__ import annotations

import collections
import typing

import numpy as np

from blindsr_jax.types import SROutput

Size = tuple[int, int]  # height and width in LR pixels

# Sides of canvases are multiples of this, so that programs are found again in the cache of compiled ones.
GRID = 32
# Programs that restore a set of pictures.
PROGRAMS = 3
_MANY = 256  # sizes that are told apart


def plan(sizes: typing.Sequence[Size], tiles: typing.Sequence[int], *, turned: bool = False) -> list[Size]:
    """The canvases on which pictures, whole or in tiles, take at most ``PROGRAMS`` programs.

    Tiles take two: from one the blur is estimated, in the others it is known. They share one canvas, on which small
    pictures may lie as well.

    Args:
      sizes: of the pictures.
      tiles: side of each one's tiles; 0 for whole ones.
      turned: whether they are turned by a right angle as well (self-ensemble).

    Returns:
      Canvases; each picture, or tile, fits into one.
    """
    if turned:
        sizes, tiles = [*sizes, *(size[::-1] for size in sizes)], [*tiles, *tiles]
    cut = [bool(tile) and max(size) > tile for size, tile in zip(sizes, tiles)]
    whole = [size for size, parts in zip(sizes, cut) if not parts]
    shared = few([(min(size[0], tile), min(size[1], tile)) for size, tile, parts in zip(sizes, tiles, cut) if parts], 1)
    if not shared:
        return few(whole, PROGRAMS)
    larger = [size for size in whole if smallest(shared, size) is None]
    return shared + few(larger or whole, PROGRAMS - 2)


def few(sizes: typing.Sequence[Size], most: int) -> list[Size]:
    """At most so many canvases into which all sizes fit, with few pixels in vain.

    Beginning with a canvas for each size, the two are merged that lose least by it; at the end each size moves to the
    smallest canvas that holds it, and canvases shrink to what they hold.
    """
    counts = _rounded(sizes)
    shapes, weights = np.array(list(counts), np.int64).reshape(-1, 2), np.array(list(counts.values()), np.int64)
    canvases, held = shapes, weights
    while len(canvases) > most:
        joined = np.maximum(canvases[:, None], canvases[None])
        own = held * canvases.prod(axis=1)
        loss = joined.prod(axis=2) * (held[:, None] + held) - own[:, None] - own
        loss[np.tril_indices(len(canvases))] = np.iinfo(np.int64).max
        i, j = np.unravel_index(loss.argmin(), loss.shape)
        canvases, held = canvases.copy(), held.copy()
        canvases[i], held[i] = joined[i, j], held[i] + held[j]
        canvases, held = np.delete(canvases, j, axis=0), np.delete(held, j)
    return _shrunk([(int(height), int(width)) for height, width in canvases], list(counts))


def smallest(canvases: typing.Sequence[Size], size: Size) -> Size | None:
    """The canvas of least area that holds a size; None if there is none."""
    fitting = [canvas for canvas in canvases if canvas[0] >= size[0] and canvas[1] >= size[1]]
    return min(fitting, key=lambda canvas: canvas[0] * canvas[1], default=None)


def padded(size: Size, images: np.ndarray) -> np.ndarray:
    """Images [B, H, W, 3] in the upper left corners of zeros of a size."""
    whole = np.zeros((images.shape[0], *size, 3), np.float32)
    whole[:, : images.shape[1], : images.shape[2]] = images
    return whole


def valid_size_of(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height and width of images [B, H, W, 3], as arguments of a compiled program that pads them."""
    return np.array(images.shape[1], np.int32), np.array(images.shape[2], np.int32)


def cut(output: SROutput, height: int, width: int) -> SROutput:
    """What lies within so many HR pixels of all images in an output."""

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


def _shrunk(canvases: list[Size], shapes: list[Size]) -> list[Size]:
    while True:
        held: dict[Size, list[Size]] = {}
        for shape in shapes:
            held.setdefault(smallest(canvases, shape), []).append(shape)
        now = [(max(height for height, _ in some), max(width for _, width in some)) for some in held.values()]
        if sorted(now) == sorted(canvases):
            return sorted(now)
        canvases = now
