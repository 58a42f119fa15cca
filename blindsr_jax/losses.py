"""Training losses, one function per supervision scheme.

Each function takes the supervised steps of a model and the targets. It returns the loss, and its parts for the log.
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp

from blindsr_jax.types import Estimate

__all__ = [
    "LOSSES",
    "Loss",
    "code_supervision",
    "corrected_code_supervision",
    "degradation_supervision",
    "detail_supervision",
    "gradient_supervision",
    "image_supervision",
    "kernel_supervision",
    "refined_kernel_supervision",
]


def code_supervision(steps: list[Estimate], truth: Estimate) -> tuple[jax.Array, dict[str, jax.Array]]:
    """DANv1's loss: Σ over supervised steps of mean|sr − hr| + mean|code − encode(kernel)|.

    Args:
      steps: the result of the network's ``training_steps``.
      truth: the result of the network's ``targets``.

    Returns:
      The loss, and ``{"loss_sr", "loss_kernel"}`` of the last step.
    """
    return _sum_of_steps(steps, truth, loss_kernel=lambda step: _l1(step.code, truth.code))


def kernel_supervision(steps: list[Estimate], truth: Estimate) -> tuple[jax.Array, dict[str, jax.Array]]:
    """DANv2's loss: like ``code_supervision``, but the second term is mean|kernel − true kernel| over K² pixels."""
    return _sum_of_steps(steps, truth, loss_kernel=lambda step: _l1(step.kernel, truth.kernel))


def detail_supervision(
    steps: list[Estimate], truth: Estimate, *, detail_weight: float = 1.0
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """DSSR's loss (eq. 14): Σ over all steps of mean|sr − hr| + α·mean|detail − M| with M = hr − interpolated LR.

    Args:
      steps, truth: as above.
      detail_weight: α.
    """
    return _sum_of_steps(steps, truth, loss_detail=lambda step: detail_weight * _l1(step.detail, truth.detail))


def image_supervision(steps: list[Estimate], truth: Estimate) -> tuple[jax.Array, dict[str, jax.Array]]:
    """USRNet's loss (section 4.1): mean|sr − hr|.

    Args:
      steps, truth: as above.
    """
    return _sum_of_steps(steps, truth)


def gradient_supervision(steps: list[Estimate], truth: Estimate) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss of KernelNet's first stage (section 4.1): mean|g − gradients of the bicubically downsampled HR image|.

    Args:
      steps, truth: as above.

    Returns:
      The loss, and ``{"loss_gradients"}`` with the same value.
    """
    total = sum((_l1(step.gradients, truth.gradients) for step in steps), start=jnp.zeros(()))
    return total, {"loss_gradients": total}


def refined_kernel_supervision(
    steps: list[Estimate], truth: Estimate, *, coarse_weight: float = 0.0
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss of KernelNet's second stage (section 4.2): ‖refined − k‖₁ + w·‖coarse − k‖₁, averaged over the batch.

    Both norms lie between 0 and 2. The paper has no second term. With it, the coarse kernel stays interpretable.
    Without it, the coarse kernel adapts to the refinement, and the refined kernel is slightly better.

    Args:
      steps, truth: as above.
      coarse_weight: w.

    Returns:
      The loss, and ``{"loss_kernel", "loss_coarse"}``, both unweighted.
    """
    refined, coarse = (
        _difference(estimate, truth.kernel).sum(axis=(1, 2)).mean() for estimate in (steps[-1].kernel, steps[-1].coarse)
    )
    return refined + coarse_weight * coarse, {"loss_kernel": refined, "loss_coarse": coarse}


def degradation_supervision(steps: list[Estimate], truth: Estimate) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss of KernelDAN and RealDAN: mean|sr − hr| + mean (degradation − its true numbers)², both unweighted.

    Args:
      steps, truth: as above.

    Returns:
      The loss, and ``{"loss_sr", "loss_degradation"}`` of the last step.
    """
    return _sum_of_steps(steps, truth, loss_degradation=lambda step: _l2(step.degradation, truth.degradation))


def corrected_code_supervision(steps: list[Estimate], truth: Estimate) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss of IKC's second stage: Σ of mean (code − true code)² over the predicted code and all corrected codes.

    Args:
      steps: the Predictor's code, then the Corrector's codes.
      truth: as above.

    Returns:
      The loss, and ``{"loss_predicted", "loss_corrected"}`` of the first and the last code.
    """
    errors = [_l2(step.code, truth.code) for step in steps]
    return sum(errors, start=jnp.zeros(())), {"loss_predicted": errors[0], "loss_corrected": errors[-1]}


Loss = typing.Callable[[list[Estimate], Estimate], tuple[jax.Array, dict[str, jax.Array]]]
LOSSES: dict[str, typing.Callable[..., tuple[jax.Array, dict[str, jax.Array]]]] = {
    "code": code_supervision,
    "kernel": kernel_supervision,
    "detail": detail_supervision,
    "image": image_supervision,
    "gradients": gradient_supervision,
    "refined_kernel": refined_kernel_supervision,
    "degradation": degradation_supervision,
    "corrected_code": corrected_code_supervision,
}


def _sum_of_steps(
    steps: list[Estimate], truth: Estimate, **terms: typing.Callable[[Estimate], jax.Array]
) -> tuple[jax.Array, dict[str, jax.Array]]:
    total = jnp.zeros(())
    for step in steps:
        parts = {"loss_sr": _l1(step.sr, truth.sr)} | {name: term(step) for name, term in terms.items()}
        total += sum(parts.values())
    return total, parts


def _l1(a: jax.Array | None, b: jax.Array | None) -> jax.Array:
    return _difference(a, b).mean()


def _l2(a: jax.Array | None, b: jax.Array | None) -> jax.Array:
    return jnp.square(_difference(a, b)).mean()


def _difference(a: jax.Array | None, b: jax.Array | None) -> jax.Array:
    assert a is not None and b is not None, "the network does not estimate the quantity that this loss compares"
    return jnp.abs(a - b)
