"""The networks. ``build(name, **sizes)`` constructs any of them."""

from blindsr_jax.networks.registry import MODELS, build, init_variables

__all__ = ["MODELS", "build", "init_variables"]
