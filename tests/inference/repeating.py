"""A ``Restorer`` without a network, for tests of tiling."""

import dataclasses
import typing

import numpy as np

from blindsr_jax.errors import OutOfMemory
from blindsr_jax.inference.tile_context import TileContext
from blindsr_jax.inference.tiling import MARGIN
from blindsr_jax.types import SROutput


@dataclasses.dataclass
class Repeating:
    """Repeats each pixel twice and corrupts its input's border, as networks do."""

    most: int = 10_000
    scale: int = 2
    restores: typing.ClassVar[bool] = True
    takes_kernel: typing.ClassVar[bool] = False
    whole_only: typing.ClassVar[str] = ""

    def __call__(self, lr, *, kernel=None, iterations=None, trace=False, image_only=False):
        lr = np.array(lr)
        if lr.shape[1] * lr.shape[2] > self.most:
            raise OutOfMemory("too large")
        lr[:, :MARGIN] = lr[:, -MARGIN:] = 9
        lr[:, :, :MARGIN] = lr[:, :, -MARGIN:] = 9
        return SROutput(sr=lr.repeat(2, 1).repeat(2, 2))

    def tile_context(self, pixels, *, kernel, iterations):
        return TileContext()

    def restore_tiles(self, tiles, context, side):
        return self(tiles).sr
