"""``NetworkWithWeights``: a network and its weights, and what tells it from others."""

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
      metadata: what is known of the weights (protocol, source, scores).
    """

    module: nn.Module
    variables: dict[str, typing.Any]
    metadata: dict[str, typing.Any] = dataclasses.field(default_factory=dict)

    @property
    def network(self) -> str:
        """Name of the network, for messages."""
        return type(self.module).__name__

    @functools.cached_property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return sum(np.size(leaf) for leaf in jax.tree.leaves(self.variables["params"]))

    @property
    def description(self) -> list[str]:
        """What the weights were trained for, their number, and their scores, as far as known."""
        return describe(self.metadata, self.parameters)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the network's kind, scale, number of steps and all its arrays: equal ones restore alike."""
        sizes = [getattr(self.module, name, None) for name in ("scale", "iterations")]
        digest = hashlib.sha256(f"{self.network} {sizes}".encode())
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.variables):
            array = np.ascontiguousarray(leaf)
            digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()
