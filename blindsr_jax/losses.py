"""What training minimises: one function per supervision scheme.

Each takes the supervised steps of a model and the truth, and returns the loss with its parts for the log.
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp

from blindsr_jax.types import Estimate


def code_supervision(steps: list[Estimate], truth: Estimate) -> tuple[jax.Array, dict[str, jax.Array]]:
    """DANv1: Σ over supervised steps of mean|sr − hr| + mean|code − encode(kernel)|.

    Args:
      steps: what ``DAN.training_steps`` returned.
      truth: the HR image, the true kernel and its code.

    Returns:
      The loss, and ``{"loss_sr", "loss_kernel"}`` of the last step.
    """
    return _sum_of_steps(steps, truth, lambda step: _l1(step.code, truth.code))


def kernel_supervision(steps: list[Estimate], truth: Estimate) -> tuple[jax.Array, dict[str, jax.Array]]:
    """DANv2: as ``code_supervision``, but the second term is mean|kernel − true kernel|, over K² pixels."""
    return _sum_of_steps(steps, truth, lambda step: _l1(step.kernel, truth.kernel))


LOSSES: dict[str, typing.Callable[..., tuple[jax.Array, dict[str, jax.Array]]]] = {
    "code": code_supervision,
    "kernel": kernel_supervision,
}


def _sum_of_steps(
    steps: list[Estimate], truth: Estimate, kernel_term: typing.Callable[[Estimate], jax.Array]
) -> tuple[jax.Array, dict[str, jax.Array]]:
    total = jnp.zeros(())
    for step in steps:
        parts = {"loss_sr": _l1(step.sr, truth.sr), "loss_kernel": kernel_term(step)}
        total += parts["loss_sr"] + parts["loss_kernel"]
    return total, parts


def _l1(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.abs(a - b).mean()
