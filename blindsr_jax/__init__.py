"""Blind super-resolution in JAX: deep alternating networks that restore an image and estimate its blur together.

    >>> import blindsr_jax
    >>> model = blindsr_jax.load("model.safetensors")  # doctest: +SKIP
    >>> hr = model.restore(lr)  # doctest: +SKIP

Names are loaded when first used; importing the package brings in neither TensorFlow nor any network.
"""

import typing

from blindsr_jax.lazy import attach

if typing.TYPE_CHECKING:  # for type checkers and editors
    from blindsr_jax.errors import BlindSRError as BlindSRError
    from blindsr_jax.inference.loading import load as load
    from blindsr_jax.inference.model import Model as Model
    from blindsr_jax.inference.pipeline import pipeline as pipeline
    from blindsr_jax.inference.solver import Solver as Solver
    from blindsr_jax.types import SROutput as SROutput
    from blindsr_jax.weights.zoo import models as models

__version__ = "0.1.0"

__getattr__, _names = attach(
    __name__,
    {
        "load": "blindsr_jax.inference.loading",
        "Model": "blindsr_jax.inference.model",
        "Solver": "blindsr_jax.inference.solver",
        "pipeline": "blindsr_jax.inference.pipeline",
        "models": "blindsr_jax.weights.zoo",
        "BlindSRError": "blindsr_jax.errors",
        "SROutput": "blindsr_jax.types",
        "degradations": "blindsr_jax.degradations",
        "losses": "blindsr_jax.losses",
        "metrics": "blindsr_jax.metrics",
        "networks": "blindsr_jax.networks",
        "ops": "blindsr_jax.ops",
        "training": "blindsr_jax.training",
        "weights": "blindsr_jax.weights",
    },
)
__all__ = [*_names, "__version__"]


def __dir__() -> list[str]:
    return __all__
