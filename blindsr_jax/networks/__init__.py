"""The networks. ``build(name, **sizes)`` constructs any of them; ``register`` adds one of your own."""

from blindsr_jax.networks.registry import MODELS, build, init_variables, register

__all__ = ["MODELS", "build", "init_variables", "register"]
