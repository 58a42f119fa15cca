"""Weights in files: bundles of this project, the authors' checkpoints, and the packaged models."""

from blindsr_jax.lazy import attach

__getattr__, __all__ = attach(
    __name__,
    {
        "Bundle": "blindsr_jax.weights.bundle",
        "load_bundle": "blindsr_jax.weights.bundle",
        "load_official": "blindsr_jax.weights.official",
        "load_official_ikc": "blindsr_jax.weights.official_ikc",
        "models": "blindsr_jax.weights.zoo",
        "save_bundle": "blindsr_jax.weights.bundle",
    },
)


def __dir__() -> list[str]:
    return __all__
