"""Names of models, and how one is built from plain values: a config's or a bundle's."""

from __future__ import annotations

import inspect
import math
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.degradations.pools import POOL_SIZES
from blindsr_jax.errors import ConfigError
from blindsr_jax.networks import dan_v1, dan_v2
from blindsr_jax.networks.dan import CONDITIONS, DAN
from blindsr_jax.networks.dpir import DPIR
from blindsr_jax.networks.drunet import DRUNet
from blindsr_jax.networks.dssr import DSSR
from blindsr_jax.networks.fixed_gaussian import FixedGaussian
from blindsr_jax.networks.kernelnet import KernelNet
from blindsr_jax.networks.model_based import ModelBased
from blindsr_jax.networks.usrnet import USRNet
from blindsr_jax.ops.total_variation import total_variation_denoise


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
    conditions: typing.Sequence[str] = (),
) -> DAN:
    """DANv1; with fewer blocks, ``upsampler="single"`` and a skip, the compact family (dan_lite)."""
    _one_of("danv1", "scale", scale, (2, 3, 4))
    _one_of("danv1", "upsampler", upsampler, ("stages", "single"))
    _one_of("danv1", "skip", skip, ("none", "nearest", "bicubic"))
    for condition in conditions:
        _one_of("danv1", "conditions", condition, CONDITIONS)
    return DAN(
        restorer=dan_v1.Restorer(scale, features, blocks, upsampler, skip),
        estimator=dan_v1.Estimator(scale, code_length + len(conditions), estimator_features, estimator_blocks),
        scale=scale,
        kernel_size=kernel_size,
        code_length=code_length,
        iterations=iterations,
        conditions=tuple(conditions),
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
    _one_of("danv2", "scale", scale, (1, 2, 3, 4))
    return DAN(
        restorer=dan_v2.Restorer(scale, features, groups, blocks),
        estimator=dan_v2.Estimator(scale, kernel_size, estimator_features, estimator_blocks),
        scale=scale,
        kernel_size=kernel_size,
        code_length=code_length,
        iterations=iterations,
    )


def build_dssr(
    *, scale: int, features: int = 128, blocks: int = 15, refine_blocks: int = 5, iterations: int = 4
) -> DSSR:
    """DSSR."""
    _one_of("dssr", "scale", scale, (2, 3, 4))
    return DSSR(scale, features, blocks, refine_blocks, iterations)


def build_kernelnet(
    *, scale: int, kernel_size: int | None = None, width: int = 128, refine_features: int = 64, lam: float = 1e-6
) -> KernelNet:
    """KernelNet; kernels as large as those of our pools of the scale unless ``kernel_size`` says otherwise."""
    size = _pool_size("kernelnet", scale, kernel_size)
    if width < 4:
        raise ConfigError(f"width of model 'kernelnet' must be at least 4, got {width}")
    return KernelNet(scale, size, width, refine_features, lam)


def build_fixed_gaussian(*, scale: int, kernel_size: int | None = None) -> FixedGaussian:
    """The best Gaussian of our pool of the scale, for every image; sizes as of KernelNet."""
    return FixedGaussian(scale, _pool_size("fixed_gaussian", scale, kernel_size))


def build_model_based(*, scale: int, kernel_size: int | None = None) -> ModelBased:
    """The classical estimate by blind deblurring; sizes as of KernelNet."""
    return ModelBased(scale, _pool_size("model_based", scale, kernel_size))


_FOUR_SIZES = (64, 128, 256, 512)


def build_usrnet(
    *,
    iterations: int = 8,
    hyper_features: int = 64,
    features: typing.Sequence[int] = _FOUR_SIZES,
    blocks: int = 2,
) -> USRNet:
    """USRNet, for all scales; the tiny one has iterations=6, hyper_features=32, features=(16, 32, 64, 64)."""
    return USRNet(iterations, hyper_features, tuple(features), blocks)


def build_drunet(
    *, features: typing.Sequence[int] = _FOUR_SIZES, blocks: int = 4, channels: int = 3, bias: bool = False
) -> DRUNet:
    """DRUNet, the denoiser."""
    return DRUNet(tuple(features), blocks, channels, bias)


def build_dpir(
    *,
    iterations: int = 24,
    denoiser: str = "drunet",
    features: typing.Sequence[int] = _FOUR_SIZES,
    blocks: int = 4,
    bias: bool = False,
) -> DPIR:
    """DPIR around DRUNet, whose parameters stand under ``denoiser``; or around total variation, which has none."""
    _one_of("dpir", "denoiser", denoiser, ("drunet", "total_variation"))
    if denoiser == "total_variation":
        return DPIR(total_variation_denoise, iterations)
    return DPIR(build_drunet(features=features, blocks=blocks, bias=bias), iterations)


MODELS: dict[str, typing.Callable[..., nn.Module]] = {
    "danv1": build_dan_v1,
    "danv2": build_dan_v2,
    "dssr": build_dssr,
    "kernelnet": build_kernelnet,
    "fixed_gaussian": build_fixed_gaussian,
    "model_based": build_model_based,
    "usrnet": build_usrnet,
    "drunet": build_drunet,
    "dpir": build_dpir,
}


def build(name: str, **sizes: typing.Any) -> nn.Module:
    """A model from its name and sizes.

    Args:
      name: a key of ``MODELS``.
      **sizes: keyword arguments of that model's builder; those left out have the paper's values.

    Returns:
      The unbound flax module.

    Raises:
      ConfigError: the name, a size's name or its value is not one the model has.
    """
    if name not in MODELS:
        raise ConfigError(f"there is no model {name!r}; known are {', '.join(sorted(MODELS))}")
    known = inspect.signature(MODELS[name]).parameters
    unknown = sorted(set(sizes) - set(known))
    if unknown:
        raise ConfigError(f"model {name!r} has no {', '.join(unknown)}; it has {', '.join(known)}")
    for size, value in sizes.items():
        _check_size(name, size, value, known[size].default)
    return MODELS[name](**sizes)


def init_variables(model: nn.Module, key: jax.Array, pca_basis: jax.Array | None = None) -> dict[str, typing.Any]:
    """Fresh variables: ``params`` drawn from the key, and ``constants``, which may be empty.

    Args:
      model: the network.
      key: PRNG key.
      pca_basis: [K², L] for networks that have one; zeros if it is not given.
    """
    variables = {"params": {}, "constants": {}} | model.init(key, **model.example())
    if pca_basis is not None:
        variables["constants"] = {"pca_basis": jnp.asarray(pca_basis)}
    return variables


def _pool_size(model: str, scale: int, kernel_size: int | None) -> int:
    """The kernel size of a model that is about our pools, whose scales it knows."""
    _one_of(model, "scale", scale, tuple(POOL_SIZES))
    size = POOL_SIZES[scale] if kernel_size is None else kernel_size
    if size % 2 == 0:
        raise ConfigError(f"kernel_size of model {model!r} must be odd, got {size}")
    return size


def _check_size(model: str, size: str, value: typing.Any, default: typing.Any) -> None:
    """A size must be of its default's kind; words are left to the builders."""
    if isinstance(default, str) or default == ():
        return
    if isinstance(default, bool):
        sound, wanted = isinstance(value, bool), "True or False"
    elif isinstance(default, float):
        sound, wanted = type(value) in (int, float) and 0 < value < math.inf, "a positive number"
    elif isinstance(default, tuple):
        sound = isinstance(value, list | tuple) and len(value) >= 2 and all(map(_is_count, value))
        wanted = f"a list of positive whole numbers such as {list(default)}"
    else:
        sound, wanted = _is_count(value), "a positive whole number"
    if not sound:
        raise ConfigError(f"{size} of model {model!r} must be {wanted}, got {value!r}")


def _is_count(value: typing.Any) -> bool:
    return type(value) is int and value >= 1


def _one_of(model: str, size: str, value: typing.Any, allowed: tuple[typing.Any, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{size} of model {model!r} must be {', '.join(map(str, allowed))}, not {value}")
