"""``NetworkWithWeights``: a network, its weights, and a fingerprint that identifies both."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import typing

import flax.linen as nn
import jax
import numpy as np

from blindsr_jax.weights.zoo import describe


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NetworkWithWeights:
    """A network with its weights.

    Attributes:
      module: the flax network.
      variables: its ``params`` and ``constants``.
      metadata: facts about the weights (protocol, source, scores).
    """

    module: nn.Module
    variables: dict[str, typing.Any]
    metadata: dict[str, typing.Any] = dataclasses.field(default_factory=dict)

    @property
    def network(self) -> str:
        """Name of the network in messages."""
        return type(self.module).__name__

    @functools.cached_property
    def parameters(self) -> int:
        """Number of trained parameters."""
        return sum(np.size(leaf) for leaf in jax.tree.leaves(self.variables["params"]))

    @property
    def description(self) -> list[str]:
        """The weights' training protocol, parameter count and scores, as far as known."""
        return describe(self.metadata, self.parameters)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the network's class, scale, number of steps and arrays; equal fingerprints give equal results."""
        sizes = [getattr(self.module, name, None) for name in ("scale", "iterations")]
        digest = hashlib.sha256(f"{self.network} {sizes}".encode())
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.variables):
            array = np.ascontiguousarray(leaf)
            digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()
