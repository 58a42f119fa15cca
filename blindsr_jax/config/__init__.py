"""The settings of a run.

A config file (``configs/*.py``) calls ``default(model, scale)`` and changes a few fields. The result is locked, so a
mistyped field is an error that names the nearest one. Only ``training.setup``, ``loop`` and ``results`` take config
objects; all other code takes plain arguments.
"""

from ml_collections import ConfigDict

from blindsr_jax.config.defaults import default, setting2
from blindsr_jax.config.derived import (
    config_hash,
    flat,
    model_sizes,
    network_of,
    recipe,
    scales_of,
    stage_ends,
    to_json,
)
from blindsr_jax.config.files import project_configs, with_found_config
from blindsr_jax.config.model_section import loss_weights
from blindsr_jax.config.validation import validate

__all__ = [
    "ConfigDict",
    "config_hash",
    "default",
    "flat",
    "loss_weights",
    "model_sizes",
    "network_of",
    "project_configs",
    "recipe",
    "scales_of",
    "setting2",
    "stage_ends",
    "to_json",
    "validate",
    "with_found_config",
]
