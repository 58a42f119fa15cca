"""The base of one-pass networks that restore with means over the whole image, such as those that give its blur.

The means are of few maps near the input. They can be computed from parts of the image, exactly. So tiles of an image
are restored with the means of the whole.
"""

from __future__ import annotations

import typing

import jax

from blindsr_jax.networks.network import Pooling
from blindsr_jax.networks.one_pass import OnePass
from blindsr_jax.networks.region import Region
from blindsr_jax.ops.pooling import bin_weights, pool
from blindsr_jax.types import Estimate

Pooled = dict[str, jax.Array]
Weights = dict[str, tuple[jax.Array, jax.Array]]


class PooledOnePass(OnePass):
    """Base of networks that restore an image in one pass, given means of some of its maps.

    A subclass has a field ``scale`` and the methods ``maps``, ``restored_with``, ``kernel_of`` and ``targets``. It
    calls ``pooled_of`` in ``restored``.

    Attributes:
      poolings: how each map is averaged, by its name; not empty.
      reach: LR pixels; the farthest that a pixel of a map sees.
      stride: LR pixels between neighbouring pixels of a map, whose first is that of the image.
    """

    poolings: typing.ClassVar[typing.Mapping[str, Pooling]] = {}
    reach: typing.ClassVar[int] = 0
    stride: typing.ClassVar[int] = 1

    def maps(self, lr: jax.Array) -> dict[str, jax.Array]:
        """Return the maps [B, ⌈H/stride⌉ − 2·border, ⌈W/stride⌉ − 2·border, C] of LR images [B, H, W, 3], by name."""
        raise NotImplementedError

    def restored_with(self, lr: jax.Array, pooled: Pooled, *, region: Region | None = None) -> Estimate:
        """Return the image, and all else that the network finds, with the means [B, N, N, C] of ``maps``.

        The region may have windows: the means that later layers take are then over these. See ``networks.region``.
        """
        raise NotImplementedError

    def kernel_of(self, pooled: Pooled) -> jax.Array | None:
        """Return the kernels [B, K, K] that belong to means of ``maps``, if the network estimates kernels."""
        return None

    def code_of(self, pooled: Pooled) -> jax.Array | None:
        """Return the codes [B, L] that belong to means of ``maps``, if the network finds codes."""
        return None

    def pooled_of(self, maps: dict[str, jax.Array], weights: Weights | None = None) -> Pooled:
        """Average maps over the image, or add up the share of a part of it.

        Args:
          maps: from ``maps``.
          weights: the weights of the part's rows and columns, by name; None for maps of a whole image.
        """
        if weights is None:
            weights = {name: self._of_whole(name, x) for name, x in maps.items()}
        return {name: pool(x, *weights[name]) for name, x in maps.items()}

    def part_of_pooled(self, lr: jax.Array, weights: Weights) -> Pooled:
        """Return the share of a part [B, h, w, 3] of an image in the means of its ``maps``."""
        return self.pooled_of(self.maps(lr), weights)

    def _of_whole(self, name: str, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        rows, columns = (bin_weights(length, self.poolings[name].bins) for length in x.shape[1:3])
        return rows, columns
