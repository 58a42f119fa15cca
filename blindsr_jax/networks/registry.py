"""Names of models, and how one is built from plain values: a config's or a bundle's."""

from __future__ import annotations

import inspect
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.errors import ConfigError
from blindsr_jax.networks import dan_v1, dan_v2
from blindsr_jax.networks.dan import DAN


def build_dan_v1(
    *,
    scale: int,
    kernel_size: int = 21,
    code_length: int = 10,
    iterations: int = 4,
    features: int = 64,
    blocks: int = 40,
    upsampler: str = "stages",
    skip: str = "none",
    estimator_features: int = 32,
    estimator_blocks: int = 5,
) -> DAN:
    """DANv1; with fewer blocks, ``upsampler="single"`` and a skip, the compact family (dan_lite)."""
    _check_scale(scale, (2, 3, 4), "danv1")
    return DAN(
        restorer=dan_v1.Restorer(scale, features, blocks, upsampler, skip),
        estimator=dan_v1.Estimator(scale, code_length, estimator_features, estimator_blocks),
        scale=scale,
        kernel_size=kernel_size,
        code_length=code_length,
        iterations=iterations,
    )


def build_dan_v2(
    *,
    scale: int,
    kernel_size: int = 21,
    code_length: int = 10,
    iterations: int = 4,
    features: int = 64,
    groups: int = 5,
    blocks: int = 10,
    estimator_features: int = 32,
    estimator_blocks: int = 5,
) -> DAN:
    """DANv2."""
    _check_scale(scale, (1, 2, 3, 4), "danv2")
    return DAN(
        restorer=dan_v2.Restorer(scale, features, groups, blocks),
        estimator=dan_v2.Estimator(scale, kernel_size, estimator_features, estimator_blocks),
        scale=scale,
        kernel_size=kernel_size,
        code_length=code_length,
        iterations=iterations,
    )


MODELS: dict[str, typing.Callable[..., DAN]] = {"danv1": build_dan_v1, "danv2": build_dan_v2}


def build(name: str, **sizes: typing.Any) -> nn.Module:
    """A model from its name and sizes.

    Args:
      name: a key of ``MODELS``.
      **sizes: keyword arguments of that model's builder; those left out have the paper's values.

    Returns:
      The unbound flax module.

    Raises:
      ConfigError: the name, a size's name or the scale is not one the model has.
    """
    if name not in MODELS:
        raise ConfigError(f"there is no model {name!r}; known are {', '.join(sorted(MODELS))}")
    known = inspect.signature(MODELS[name]).parameters
    unknown = sorted(set(sizes) - set(known))
    if unknown:
        raise ConfigError(f"model {name!r} has no {', '.join(unknown)}; it has {', '.join(known)}")
    return MODELS[name](**sizes)


def init_variables(model: nn.Module, key: jax.Array, pca_basis: jax.Array | None = None) -> dict[str, typing.Any]:
    """Fresh variables: ``params`` drawn from the key, and ``constants`` with the given PCA basis [K², L] or zeros."""
    variables = model.init(key, jnp.zeros((1, 8, 8, 3)))
    if pca_basis is not None:
        variables["constants"]["pca_basis"] = jnp.asarray(pca_basis)
    return variables


def _check_scale(scale: int, allowed: tuple[int, ...], name: str) -> None:
    if scale not in allowed:
        raise ConfigError(f"{name} works at scale {', '.join(map(str, allowed))}, not {scale}")
