"""Blocks one after another, in a loop over their stacked parameters.

A program then holds a block once, however long the chain: it is compiled sooner and takes less memory. Initialised, and
stored in files, parameters have a name for each block; ``stack_chains`` lays them out as the loop wants them.
"""

from __future__ import annotations

import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.networks import recompute

_STACKED = "stacked"
Features = tuple[jax.Array, ...]


class Chain(nn.Module):
    """Blocks one after another, named 0, 1, 2 …; what one returns, the next receives.

    In a gradient, it stores what ``recompute.recomputing`` says.

    Attributes:
      make_block: called with ``name=`` or ``parent=``.
      length: number of blocks.
    """

    make_block: typing.Callable[..., nn.Module]
    length: int

    @nn.compact
    def __call__(self, *features: jax.Array) -> Features | jax.Array:
        if self.is_initializing():
            for i in range(self.length):
                features = _as_tuple(self.make_block(name=str(i))(*features))
        else:
            features = self._loop(features, stack_chains({"": self.variables["params"]})[""][_STACKED])
        return features if len(features) > 1 else features[0]

    def _loop(self, features: Features, parameters: typing.Any) -> Features:
        block = self.make_block(parent=None)
        together = min(recompute.blocks_together(), self.length)
        whole = self.length // together * together

        @recompute.stored_as_told
        def through(features: Features, parameters: typing.Any) -> Features:
            for i in range(jax.tree.leaves(parameters)[0].shape[0]):
                one = jax.tree.map(lambda x, i=i: x[i], parameters)
                features = _as_tuple(block.apply({"params": one}, *features))
            return features

        parts = jax.tree.map(lambda x: x[:whole].reshape(-1, together, *x.shape[1:]), parameters)
        features, _ = jax.lax.scan(lambda now, part: (through(now, part), None), features, parts)
        if whole < self.length:
            features = through(features, jax.tree.map(lambda x: x[whole:], parameters))
        return features


def _as_tuple(features: Features | jax.Array) -> Features:
    return features if isinstance(features, tuple) else (features,)


def stack_chains(parameters: typing.Any) -> typing.Any:
    """Parameters with those of each chain's blocks stacked: {"0": t₀, "1": t₁ …} becomes {"stacked": t}.

    Args:
      parameters: a tree of arrays; chains that are stacked already stay.

    Returns:
      The tree in which block i's part of an array is x[i].
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
    """What ``stack_chains`` was given, from what it returned."""
    if not isinstance(parameters, typing.Mapping):
        return parameters
    if parameters.keys() == {_STACKED}:
        stacked = parameters[_STACKED]
        length = jax.tree.leaves(stacked)[0].shape[0]
        parameters = {str(i): jax.tree.map(lambda x, i=i: x[i], stacked) for i in range(length)}
    return {name: unstack_chains(part) for name, part in parameters.items()}
