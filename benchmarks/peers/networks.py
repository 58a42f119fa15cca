"""The three networks by name, and their T steps."""

from __future__ import annotations

import functools
import typing

import torch

from benchmarks.peers.dan import DAN, Tensors
from benchmarks.peers.dssr import DSSR

Network = DAN | DSSR
NETWORKS = {"danv1": functools.partial(DAN, 1), "danv2": functools.partial(DAN, 2), "dssr": DSSR}


def build(name: str, *, scale: int, **sizes: int) -> Network:
    """A network with fresh weights, from the arguments that the package's ``networks.build`` takes."""
    return NETWORKS[name](scale, **sizes)


def all_steps(network: Network, lr: torch.Tensor) -> list[Tensors]:
    """What each of the T steps estimates; the gradient, if one is recorded, goes as far as the network lets it."""
    state, steps = network.start(lr), []
    for _ in range(network.iterations):
        state, estimate = network.step(state, lr)
        steps.append(estimate)
    return steps


def last_step(network: Network, lr: torch.Tensor) -> list[Tensors]:
    """The last step alone, with a gradient; those before it without, which is all the same to DAN's loss."""
    with torch.no_grad():
        state: typing.Any = network.start(lr)
        for _ in range(network.iterations - 1):
            state, _ = network.step(state, lr)
    return [network.step(state, lr)[1]]


def loss_of(network: Network, steps: list[Tensors], truth: Tensors) -> torch.Tensor:
    """The authors' loss: of the last step for DAN, summed over all for DSSR."""
    supervised = steps if network.supervises_all else steps[-1:]
    return sum(network.loss(step, truth) for step in supervised)
