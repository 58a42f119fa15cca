"""A network applied to a batch, as a compiled program."""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
from jax.sharding import NamedSharding

from blindsr_jax.types import SROutput


@functools.partial(jax.jit, static_argnums=0, static_argnames=("iterations", "trace", "image_only", "rows"))
def apply(
    module: nn.Module,
    variables: dict[str, typing.Any],
    lr: jax.Array,
    given: dict[str, typing.Any],
    *,
    iterations: int | None,
    trace: bool,
    image_only: bool,
    rows: NamedSharding | None = None,
) -> SROutput:
    """Compiled once for each network and shape, whatever its weights.

    Given are a kernel, its code or nothing, and the region of padded images. With ``rows`` all maps are cut along the
    height as it says; XLA exchanges the few rows that a convolution sees of its neighbours.
    """
    options = {"image_only": True} if image_only else {}
    lr = lr if rows is None else jax.lax.with_sharding_constraint(lr, rows)
    return module.apply(variables, lr, **given, iterations=iterations, trace=trace, **options)
