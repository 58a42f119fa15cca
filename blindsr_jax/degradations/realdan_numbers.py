"""The numbers by which RealDAN and KernelDAN describe a degradation, from the values that its steps have drawn."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from blindsr_jax.degradations.steps import Drawn
from blindsr_jax.errors import ConfigError

KERNEL_LENGTH = 8
REALDAN_LENGTH = 42
# Names of drawn values in the order of the 42 numbers; values of both stages follow each other.
_TWICE = (("kernel",), ("size",), ("interpolation",), ("branch", "grey", "noise", "poisson_noise"), ("jpeg", "quality"))
_AT_THE_END = ("kernel", "interpolation")  # the third of each


def kernel_numbers(drawn: Drawn) -> jax.Array:
    """Return the numbers [B, 8] of the first blur: see ``realdan_kernels.describe_kerneldan``.

    Raises:
      ConfigError: the steps blur with kernels that have no such numbers.
    """
    first = drawn.get("kernel", (jnp.zeros(0),))[0]
    if first.shape[1:] != (KERNEL_LENGTH,):
        raise ConfigError(
            "config.degradation: KernelDAN learns to find what its kernels are made of, and these steps draw others; "
            "take kernel 'kerneldan', or steps that begin with blur(kerneldan())"
        )
    return first


def realdan_numbers(drawn: Drawn) -> jax.Array:
    """Return the numbers [B, 42] of RealDAN's degradation, each from 0 to 1, in the order of the public code.

    First come those of both stages: kernel (8), size, interpolation (3), noise (its kind, whether it is grey, Gaussian
    level, Poisson level), JPEG (whether, quality). The sinc filter (3) and the interpolation (3) at the end follow.
    Values are shares of their ranges. Those without effect on an image are 0, which is our choice.

    Raises:
      ConfigError: the steps are not those of the degradation ``realdan``.
    """
    try:
        parts = [jnp.stack([*_flat(drawn, names, stage)], axis=-1) for names in _TWICE for stage in (0, 1)]
        parts.append(jnp.stack([*_flat(drawn, _AT_THE_END, 2)], axis=-1))
    except (KeyError, IndexError):
        parts = []
    if sum(part.shape[-1] for part in parts) != REALDAN_LENGTH:
        raise ConfigError(
            "config.degradation.steps: RealDAN learns to find the 42 numbers of the degradation realdan, and these "
            "steps draw others; take 'realdan', also with its options"
        )
    return jnp.concatenate(parts, axis=-1)


def _flat(drawn: Drawn, names: tuple[str, ...], stage: int) -> list[jax.Array]:
    """The values of a stage as arrays [B]."""
    values = [drawn[name][stage] for name in names]
    return [column for x in values for column in jnp.atleast_2d(x.T)]
