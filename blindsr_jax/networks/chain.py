"""A chain of equal blocks, computed as a loop over stacked parameters.

The compiled program contains one block for any chain length, so it compiles faster and takes less memory. Parameters
are initialised and stored under one name per block. ``stack_chains`` stacks them for the loop.
"""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.networks.bands import cut, joined, region_of_bands
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.region import Region, optional

_STACKED = "stacked"
Features = tuple[jax.Array, ...]
Step = typing.Callable[[Features, typing.Any], tuple[Features, typing.Any]]


class Chain(nn.Module):
    """Blocks named 0, 1, 2 …, each applied to the result of the previous one.

    Attributes:
      make_block: returns a block; called with ``name=`` or ``parent=``.
      length: number of blocks.
      compute: its ``remat`` chooses the values that are stored for a gradient.
    """

    make_block: typing.Callable[..., nn.Module]
    length: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, *features: jax.Array, region: Region | None = None) -> Features | jax.Array:
        """Return the features after the last block. Every block receives the region, if there is one."""
        if self.is_initializing():
            for i in range(self.length):
                features = _as_tuple(self.make_block(name=str(i))(*features, **optional(region)))
        else:
            features = self._in_bands(features, region)
        return features if len(features) > 1 else features[0]

    def _in_bands(self, features: Features, region: Region | None) -> Features:
        """Apply the blocks, to bands of a single image where that is asked for and the blocks can."""
        size, of_bands = features[0].shape[1:3], None
        if self.compute.bands > 1 and getattr(self.make_block(parent=None), "in_bands", False):
            of_bands = region_of_bands(features[0], region, self.compute.bands)
        if of_bands is None:
            return self._loop(features, functools.partial(self._one, region=region))
        maps = [x.ndim == 4 and x.shape[1:3] == size for x in features]  # the others belong to the whole image
        features = tuple(cut(x, of_bands) if is_map else x for x, is_map in zip(features, maps))
        features = self._loop(features, functools.partial(self._one, region=of_bands))
        return tuple(joined(x, size[0]) if is_map else x for x, is_map in zip(features, maps))

    def _loop(self, features: Features, one: Step) -> Features:
        parameters = stack_chains({"": self.variables["params"]})[""][_STACKED]
        blocks: typing.Any = parameters, self.get_variable("means", _STACKED)  # see ``layers.ChannelAttention``
        size = min(self.compute.blocks_per_group, self.length)
        scan = functools.partial(jax.lax.scan, unroll=self.compute.unroll)
        if size == 1:
            features, means = scan(self.compute.checkpoint(one), features, blocks)
            if self.is_mutable_collection("means"):
                self.put_variable("means", _STACKED, means)
            return features
        group = self.compute.checkpoint(functools.partial(scan, one))
        whole = self.length // size * size
        groups = jax.tree.map(lambda x: x[:whole].reshape(-1, size, *x.shape[1:]), blocks)
        features, _ = jax.lax.scan(group, features, groups)
        if whole < self.length:
            features, _ = group(features, jax.tree.map(lambda x: x[whole:], blocks))
        return features

    def _one(
        self, features: Features, variables: tuple[typing.Any, typing.Any], region: Region | None
    ) -> tuple[Features, typing.Any]:
        """Apply a block with its parameters and means (or None); return features, and the block's means if mutable."""
        parameters, means = variables
        given = {"params": parameters} | ({} if means is None else {"means": means})
        mutable = ["means"] if self.is_mutable_collection("means") else []
        block = self.make_block(parent=None)
        result, written = block.apply(given, *features, **optional(region), mutable=mutable)
        return _as_tuple(result), written.get("means", {})


def _as_tuple(features: Features | jax.Array) -> Features:
    return features if isinstance(features, tuple) else (features,)


def stack_chains(parameters: typing.Any) -> typing.Any:
    """Stack the parameters of each chain's blocks: {"0": t₀, "1": t₁ …} becomes {"stacked": t}.

    Args:
      parameters: a tree of arrays. Chains that are already stacked are unchanged.

    Returns:
      The tree with stacked arrays; x[i] belongs to block i.
    """
    if not isinstance(parameters, typing.Mapping):
        return parameters
    parameters = {name: stack_chains(part) for name, part in parameters.items()}
    if not parameters or not all(name.isdigit() for name in parameters):
        return parameters
    blocks = [parameters[str(i)] for i in range(len(parameters))]
    return {_STACKED: jax.tree.map(_stack, *blocks)}


def _stack(*arrays: typing.Any) -> typing.Any:
    return (np if isinstance(arrays[0], np.ndarray) else jnp).stack(arrays)


def unstack_chains(parameters: typing.Any) -> typing.Any:
    """Invert ``stack_chains``."""
    if not isinstance(parameters, typing.Mapping):
        return parameters
    if parameters.keys() == {_STACKED}:
        stacked = parameters[_STACKED]
        length = jax.tree.leaves(stacked)[0].shape[0]
        parameters = {str(i): jax.tree.map(lambda x, i=i: x[i], stacked) for i in range(length)}
    return {name: unstack_chains(part) for name, part in parameters.items()}
