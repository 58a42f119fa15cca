"""The cases of a suite, from the options of ``run``: a network, and a batch and a side for each case."""

from __future__ import annotations

import argparse
import itertools
import typing

from blindsr_jax.errors import ConfigError

Row = dict[str, typing.Any]


def model_of(options: argparse.Namespace) -> Row:
    """Name, scale and sizes of the network, the arguments of ``networks.build``."""
    return {"name": options.model, "scale": options.scale, **options.network}


def cases(options: argparse.Namespace) -> list[tuple[int, int]]:
    """Batch and side of each case. One batch serves all sizes; otherwise each size has its own.

    Raises:
      ConfigError: the number of batches is neither one nor the number of sizes.
    """
    if len(options.batch) not in (1, len(options.sizes)):
        raise ConfigError(
            f"--batch: {len(options.batch)} for {len(options.sizes)} sizes; give one for all, or one each"
        )
    batches = options.batch if len(options.batch) > 1 else itertools.repeat(options.batch[0])
    return list(zip(batches, options.sizes))
