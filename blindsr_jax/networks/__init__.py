"""The networks, and the one way to build them: ``build(name, **sizes)``."""

from blindsr_jax.networks.registry import MODELS, build, init_variables

__all__ = ["MODELS", "build", "init_variables"]
