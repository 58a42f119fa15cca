"""Configs by name, for suites that measure or compile what ``blindsr_jax.main`` would run."""

from __future__ import annotations

import pathlib
import runpy

from blindsr_jax import config as config_lib
from blindsr_jax.errors import ConfigError


def config_named(name: str) -> config_lib.ConfigDict:
    """The config of this project with that name, or of the file at that path.

    Raises:
      ConfigError: there is no such file.
    """
    path = config_lib.with_found_config(["--config", name])[1]
    if not pathlib.Path(path).is_file():
        raise ConfigError(f"--config {name}: no such config; known: {', '.join(config_lib.project_configs())}")
    return runpy.run_path(path)["get_config"]()
