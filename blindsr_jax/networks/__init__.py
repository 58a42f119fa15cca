"""The networks, the one way to build them, ``build(name, **sizes)``, and ``register`` for networks of your own."""

from blindsr_jax.networks.registry import MODELS, build, init_variables, register

__all__ = ["MODELS", "build", "init_variables", "register"]
