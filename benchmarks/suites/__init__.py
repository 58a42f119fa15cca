"""What ``python -m benchmarks.run --suite NAME`` measures: a module each, with ``DEFAULTS`` and ``run(options)``."""

from __future__ import annotations

import importlib
import types

NAMES = ("inference", "training", "degradation", "input", "compile", "memory", "ceilings", "scaling")


def suite(name: str) -> types.ModuleType:
    """The module of a suite, loaded when it is asked for: not all need JAX in this process."""
    return importlib.import_module(f"benchmarks.suites.{name}")
