"""Blind super-resolution in JAX: deep alternating networks that restore an image and estimate its blur together.

    >>> import blindsr_jax
    >>> model = blindsr_jax.load("model.safetensors")  # doctest: +SKIP
    >>> hr = model.restore(lr)  # doctest: +SKIP

Names are loaded when first used; importing the package brings in neither TensorFlow nor any network.
"""

import importlib
import typing

__version__ = "0.1.0"

_EXPORTS = {
    "load": "blindsr_jax.inference.loading",
    "Model": "blindsr_jax.inference.model",
    "Solver": "blindsr_jax.inference.solver",
    "pipeline": "blindsr_jax.inference.pipeline",
    "models": "blindsr_jax.weights.zoo",
    "BlindSRError": "blindsr_jax.errors",
    "SROutput": "blindsr_jax.types",
}
_SUBMODULES = ("degradations", "metrics", "networks", "ops")

__all__ = [*_EXPORTS, *_SUBMODULES, "__version__"]


def __getattr__(name: str) -> typing.Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"blindsr_jax.{name}")
    raise AttributeError(f"module 'blindsr_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
