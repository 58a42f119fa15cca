"""The ways in which a model restores a sample, and the result of each."""

from __future__ import annotations

import dataclasses
import time
import typing

import numpy as np

from blindsr_jax.degradations.kernels import dirac
from blindsr_jax.errors import DataError, UsageError
from blindsr_jax.evaluation.samples import Sample
from blindsr_jax.inference.back_projection import check_back_projection
from blindsr_jax.inference.restore import Restored, restore_image, restore_steps
from blindsr_jax.inference.restorer import Restorer
from blindsr_jax.metrics import psnr

KernelChoice = typing.Literal["estimated", "true", "none"]
BLIND, COARSE, ORACLE = "blind", "coarse kernel", "best T"
_METHOD_NAMES: dict[KernelChoice, str] = {"estimated": BLIND, "true": "true kernel", "none": "no kernel"}


@dataclasses.dataclass(frozen=True)
class Methods:
    """The ways in which a model restores each test image.

    Attributes:
      kernels: the kernels to restore with: ``estimated``, the model's estimate; ``true``, the true kernel (DAN's table
        3); ``none``, the Dirac kernel, as if there were no blur. The headline gives the scores of the first.
      iterations: number of unfolded steps of the estimate; by default that of training.
      sweep: also score 1, 2 … ``sweep`` unfolded steps (DAN's figure 6), and of these the best for each image by RGB
        PSNR, which needs the truth: IKC's published figures are chosen in this way. 0 for no sweep.
      self_ensemble: average over the eight flips and turns of the image.
      back_project: number of back-projections of the result, see ``ops.back_project``.

    Raises:
      DataError: the choices contradict each other.
    """

    kernels: tuple[KernelChoice, ...] = ("estimated",)
    iterations: int | None = None
    sweep: int = 0
    self_ensemble: bool = False
    back_project: int = 0

    def __post_init__(self) -> None:
        if self.sweep and (self.self_ensemble or self.back_project):
            raise UsageError("a sweep over unfolded steps goes without self-ensemble and without back-projection")
        if self.sweep and "estimated" not in self.kernels:
            raise UsageError("a sweep over unfolded steps needs the estimated kernel: add it to the kernels")

    @classmethod
    def of(cls, model: Restorer) -> Methods:
        """The default methods for a model: its own kernel estimate, or the true kernel if it estimates none."""
        return cls(kernels=("true",)) if model.needs_kernel else cls()

    def check(self, model: Restorer) -> None:
        """Raise DataError if a model does not support these methods."""
        name = model.network
        if "estimated" in self.kernels and model.needs_kernel:
            raise UsageError(
                f"{name} needs a kernel: score it with the true kernel, or join it with an estimator (ESTIMATOR+SOLVER)"
            )
        if self.sweep and model.restores and not model.unfolds:
            raise UsageError(f"{name} is not unfolded, so it has no steps to compare: leave --sweep out")
        if not model.takes_kernel and self.kernels != ("estimated",):
            raise UsageError(f"{name} takes no kernel: it can only be scored as it is")
        if model.iterations is None and (self.sweep or self.iterations is not None):
            raise UsageError(f"{name} repeats no step: leave iterations and a sweep out")
        check_back_projection(model, self.back_project)


OWN_ESTIMATE = Methods()


class MethodResult(typing.NamedTuple):
    """The result of one method on one sample.

    Attributes:
      name: name of the method.
      restored: image and kernel.
      seconds: time of the restoration; None if it was not timed alone, such as a step of a sweep.
      kernel_seconds: the part of ``seconds`` that estimates the kernel; None if there is no separate estimate.
    """

    name: str
    restored: Restored
    seconds: float | None = None
    kernel_seconds: float | None = None


class Estimates:
    """The kernels of one sample by estimator. Each estimator runs once, even if several solvers use its kernel.

    Args:
      sample: the sample; kernels are estimated from its LR image.
    """

    def __init__(self, sample: Sample):
        self._lr = sample.lr
        self._found: dict[str, tuple[list[Restored], float]] = {}

    def steps(self, estimator: Restorer) -> tuple[list[Restored], float]:
        """The estimator's kernels, coarse ones first and the final one last, and the seconds that they took."""
        if estimator.fingerprint not in self._found:
            start = time.perf_counter()
            steps = [restore_image(estimator, self._lr)] if estimator.restores else restore_steps(estimator, self._lr)
            self._found[estimator.fingerprint] = steps, time.perf_counter() - start
        return self._found[estimator.fingerprint]


def results_of(
    model: Restorer, sample: Sample, methods: Methods, estimates: Estimates, border: int = 0
) -> typing.Iterator[MethodResult]:
    """Yield the result of each method in order; a single run computes all steps of a sweep.

    The best step of a sweep has the highest PSNR within a border of so many pixels.

    Raises:
      DataError: a method needs the true kernel, which is not known or is too wide for the model.
    """
    if not model.restores and not methods.self_ensemble:
        (*coarse, refined), seconds = estimates.steps(model)
        yield MethodResult(BLIND, refined, seconds, seconds)
        yield from (MethodResult(COARSE, step) for step in coarse)
        return
    steps: list[Restored] = []
    if methods.sweep:
        own = methods.iterations or model.iterations or 1
        steps = restore_steps(model, sample.lr, max(methods.sweep, own))
    for choice in methods.kernels:
        if choice == "estimated" and steps:
            yield MethodResult(BLIND, steps[own - 1])
        else:
            yield _result_of(model, sample, choice, methods, estimates)
    for t, restored in enumerate(steps[: methods.sweep], 1):
        yield MethodResult(f"T = {t}", restored)
    images = [restored.image for restored in steps[: methods.sweep] if restored.image is not None]
    if images and sample.hr is not None:
        best = int(np.argmax([psnr(image, sample.hr, border, "rgb") for image in images]))
        yield MethodResult(ORACLE, steps[best])


def _result_of(
    model: Restorer, sample: Sample, choice: KernelChoice, methods: Methods, estimates: Estimates
) -> MethodResult:
    kernel, kernel_seconds = _kernel_for(choice, sample), None
    if choice == "estimated" and model.estimator is not None and not methods.self_ensemble:
        steps, kernel_seconds = estimates.steps(model.estimator)
        kernel = steps[-1].kernel
    start = time.perf_counter()
    restored = restore_image(
        model,
        sample.lr,
        kernel=kernel,
        iterations=methods.iterations,
        self_ensemble=methods.self_ensemble,
        back_project=methods.back_project,
    )
    seconds = time.perf_counter() - start + (kernel_seconds or 0.0)
    return MethodResult(_METHOD_NAMES[choice], restored, seconds, kernel_seconds)


def _kernel_for(choice: KernelChoice, sample: Sample) -> np.ndarray | None:
    if choice == "estimated":
        return None
    if choice == "none":
        return np.asarray(dirac(3))
    if sample.kernel is None:
        raise DataError(f"{sample.image}: its true kernel is not known")
    return sample.kernel
