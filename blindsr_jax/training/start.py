"""Warm start from the parameters of another model: the same network at another scale, for other blurs, or smaller."""

from __future__ import annotations

import dataclasses
import logging
import os

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from blindsr_jax.errors import ConfigError, printable
from blindsr_jax.inference.loading import bundle_named
from blindsr_jax.networks.chain import stack_chains
from blindsr_jax.training.state import TrainState

log = logging.getLogger(__name__)


def started_from(state: TrainState, name: str | os.PathLike, scale: int | None = None) -> TrainState:
    """Replace the parameters of a fresh state, and their average, by another model's where name and shape agree.

    A parameter that is larger than that of a model of the same scale takes its values in the first places of each axis.
    These are the right places for more blocks or conditions; with more features, a DAN's weights for the code come to
    others, and are learnt anew. The rest is unchanged: parameters without a counterpart (such as the
    upsampler's at another scale), the optimiser state, and the constants, because a PCA basis belongs to the kernels
    trained on.

    Args:
      state: a fresh state on its devices.
      name: a model, as for ``inference.loading.bundle_named``.
      scale: s of the state's network; None if it has no scale of its own.

    Raises:
      WeightsError: there is no such model.
      ConfigError: none of its parameters fits.
    """
    bundle = bundle_named(name)
    given, drawn = flatten_dict(stack_chains(bundle.variables["params"])), flatten_dict(state.params)
    larger = bundle.model.get("scale") == scale
    fitting = {path for path, x in drawn.items() if path in given and _fits(given[path].shape, x.shape, larger)}
    if not fitting:
        raise ConfigError(f"config.start_from: no parameter of {name} has the name and shape of one of this network")

    def with_given(tree: dict) -> dict:
        return unflatten_dict(
            {path: _with(given[path], x) if path in fitting else x for path, x in flatten_dict(tree).items()}
        )

    rest = sorted("/".join(path) for path in drawn.keys() - fitting)
    grown = sorted("/".join(path) for path in fitting if given[path].shape != drawn[path].shape)
    log.info(
        "starting from %s%s%s",
        name,
        f"; drawn anew: {printable(', '.join(rest))}" if rest else "",
        f"; drawn in part, since they are larger: {printable(', '.join(grown))}" if grown else "",
    )
    ema = None if state.ema is None else with_given(state.ema)
    return dataclasses.replace(state, params=with_given(state.params), ema=ema)


def _fits(given: tuple[int, ...], drawn: tuple[int, ...], larger: bool) -> bool:
    if not larger or len(given) != len(drawn):
        return given == drawn
    return all(a <= b for a, b in zip(given, drawn))


def _with(given: np.ndarray, drawn: jax.Array) -> jax.Array:
    """The drawn values, with the given ones in the first places of each axis."""
    if given.shape == drawn.shape:
        return _placed(given, drawn)
    values = np.array(jax.device_get(drawn))
    values[tuple(slice(length) for length in given.shape)] = given
    return _placed(values, drawn)


def _placed(values: np.ndarray, like: jax.Array) -> jax.Array:
    """A new array with the values given and the type and sharding of ``like``. Each process supplies its own shards."""
    values = np.asarray(values, like.dtype)
    return jax.make_array_from_callback(like.shape, like.sharding, lambda index: values[index].copy())
