"""The CPU's cores as JAX devices. Each computes its own part, which is faster than if all share each operation."""

from __future__ import annotations

import contextlib
import os
import sys
import typing


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_cores(count: int | None = None) -> None:
    """Make JAX devices of CPU cores. Call it before any other use of JAX; later it changes nothing.

    Training calls it. It changes nothing either if the number of devices is already set (``JAX_NUM_CPU_DEVICES``,
    ``XLA_FLAGS``) or if the process has joined others.

    Args:
      count: number of devices; by default one for each core.
    """
    if os.environ.get("JAX_NUM_CPU_DEVICES") or "host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    if "jax" not in sys.modules:  # it is not imported here, so that commands without it start fast
        os.environ["JAX_NUM_CPU_DEVICES"] = str(count or cores())
        return
    import jax

    config = typing.cast(typing.Any, jax.config)  # JAX 0.10 does not declare the option's type
    if config.jax_num_cpu_devices == -1 and not jax.distributed.is_initialized():
        with contextlib.suppress(RuntimeError):  # JAX has been used
            jax.config.update("jax_num_cpu_devices", count or cores())
