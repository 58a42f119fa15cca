"""The kernel pool of a run: kernels to train on, and held-out kernels to validate on."""

from __future__ import annotations

import functools
import typing

import numpy as np
from ml_collections import ConfigDict

from blindsr_jax.config import network_of
from blindsr_jax.degradations.kernels import isotropic_gaussian
from blindsr_jax.degradations.pools import best_gaussian, kernel_pool, moments, shaken_pool, solver_pool, split_pool
from blindsr_jax.errors import ConfigError, DataError
from blindsr_jax.evaluation.protocols import Protocol, s_fold_circular
from blindsr_jax.images.kernel_arrays import read_pool

VALIDATION_KERNELS = 8
_OFF_CENTRE = 0.5  # HR pixels
_POOLS = {"": kernel_pool, "shaken": shaken_pool}  # by the name that config.degradation.pool may have


class Pools(typing.NamedTuple):
    """The training and held-out parts of a pool, [N, K, K] each."""

    train: np.ndarray
    test: np.ndarray


def pools_of(config: ConfigDict) -> Pools:
    """The kernels of a config, from its file or from a pool of the package. They do not depend on the seed.

    Raises:
      DataError: the file is missing or damaged, has fewer than two kernels, or has a kernel that is wider than
        ``degradation.kernel_size`` or, if the network estimates kernels, off-centre.
      ConfigError: ``degradation.kernel_size`` is too small for the package's pools.
    """
    path, size = config.degradation.pool, config.degradation.kernel_size
    blind = network_of(config).blind  # a solver gets its kernels, so they may lie anywhere; one pool for all scales
    named = path in _POOLS if blind else not path
    pool = _own(path, config.model.scale if blind else None, size) if named else _read(path, size, anywhere=not blind)
    try:
        return Pools(*split_pool(pool))
    except ValueError:
        raise DataError(f"{path}: two kernels at least are needed, one to train on and one to validate on") from None


def held_out_protocol(config: ConfigDict) -> Protocol:
    """``s_fold_circular`` with held-out kernels chosen evenly by shape, from nearly Gaussian to least Gaussian.

    Raises:
      DataError, ConfigError: as ``pools_of``.
    """
    train, test = pools_of(config)
    gaussian = np.asarray(isotropic_gaussian(best_gaussian(train), train.shape[-1]))
    by_shape = np.abs(test - gaussian).sum(axis=(1, 2)).argsort(kind="stable")
    count = min(VALIDATION_KERNELS, len(test))
    chosen = by_shape[np.int64((np.arange(count) + 0.5) / count * len(test))]
    return s_fold_circular(config.model.scale, {f"kernel {i}": test[i] for i in chosen})


def _read(path: str, size: int, *, anywhere: bool) -> np.ndarray:
    try:
        pool = read_pool(path, size)
    except DataError as error:
        raise DataError(f"config.degradation.pool, for config.degradation.kernel_size={size}: {error}") from None
    offsets = moments(pool).offset
    worst = int(offsets.argmax())
    if not (anywhere or offsets[worst] <= _OFF_CENTRE):
        raise DataError(
            f"{path}: kernel {worst} has its centre of mass {offsets[worst]:.1f} pixels from its central pixel, which "
            "cannot be told from a moved image: centre all with blindsr_jax.degradations.move_kernel"
        )
    return pool


@functools.cache
def _own(name: str, scale: int | None, size: int) -> np.ndarray:
    """The package's pool of this name for a scale, or its solver pool for all scales."""
    try:
        if scale:
            return _POOLS[name](scale, size=size)
        return solver_pool(size=size)
    except ValueError as error:
        raise ConfigError(f"config.degradation.kernel_size: {error}") from None
