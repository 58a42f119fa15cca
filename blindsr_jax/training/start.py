"""Warm start from the parameters of another model: the same network at another scale, or for other blurs."""

from __future__ import annotations

import dataclasses
import logging
import os

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from blindsr_jax.errors import ConfigError
from blindsr_jax.inference.loading import bundle_named
from blindsr_jax.networks.chain import stack_chains
from blindsr_jax.training.state import TrainState

log = logging.getLogger(__name__)


def started_from(state: TrainState, name: str | os.PathLike) -> TrainState:
    """Replace the parameters of a fresh state, and their average, by another model's where name and shape agree.

    The rest is unchanged: parameters without a counterpart (such as the upsampler's at another scale), the optimiser
    state, and the constants, because a PCA basis belongs to the kernels trained on.

    Args:
      state: a fresh state on its devices.
      name: a model, as for ``inference.loading.bundle_named``.

    Raises:
      WeightsError: there is no such model.
      ConfigError: none of its parameters fits.
    """
    given = flatten_dict(stack_chains(bundle_named(name).variables["params"]))
    drawn = flatten_dict(state.params)
    fitting = {path for path, x in drawn.items() if path in given and given[path].shape == x.shape}
    if not fitting:
        raise ConfigError(f"config.start_from: no parameter of {name} has the name and shape of one of this network")

    def with_given(tree: dict) -> dict:
        return unflatten_dict(
            {path: _placed(given[path], x) if path in fitting else x for path, x in flatten_dict(tree).items()}
        )

    rest = sorted("/".join(path) for path in drawn.keys() - fitting)
    log.info("starting from %s%s", name, f"; drawn anew: {', '.join(rest)}" if rest else "")
    ema = None if state.ema is None else with_given(state.ema)
    return dataclasses.replace(state, params=with_given(state.params), ema=ema)


def _placed(values: np.ndarray, like: jax.Array) -> jax.Array:
    """A new array with the values given and the type and sharding of ``like``. Each process supplies its own shards."""
    values = np.asarray(values, like.dtype)
    return jax.make_array_from_callback(like.shape, like.sharding, lambda index: values[index].copy())
