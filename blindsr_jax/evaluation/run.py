"""Trials through a model: rows of scores."""

from __future__ import annotations

import dataclasses
import logging
import time
import typing

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from blindsr_jax.degradations.kernels import dirac
from blindsr_jax.degradations.pca import encode
from blindsr_jax.errors import DataError
from blindsr_jax.evaluation.journal import Journal
from blindsr_jax.evaluation.protocols import Protocol
from blindsr_jax.evaluation.rows import Row, group
from blindsr_jax.evaluation.trials import EvaluationSet, Trial, make_lr
from blindsr_jax.inference.model import Model, fit_kernel
from blindsr_jax.inference.restore import Restored, enlarge_bicubic, restore_image, restore_steps
from blindsr_jax.inference.solver import Pipeline
from blindsr_jax.metrics import code_l1, kernel_l1, kernel_psnr, psnr, ssim
from blindsr_jax.networks.unfolded import Unfolded

log = logging.getLogger(__name__)

KernelChoice = typing.Literal["estimated", "true", "none"]
BLIND, COARSE = "blind", "coarse kernel"
_METHOD_NAMES: dict[KernelChoice, str] = {"estimated": BLIND, "true": "true kernel", "none": "no kernel"}


@dataclasses.dataclass(frozen=True)
class Methods:
    """The ways in which a model restores each test image.

    Attributes:
      kernels: with the model's own estimate, with the true kernel (DAN's table 3), or with the Dirac kernel: what it
        would do if it knew of no blur. The first is the method that the headline is about.
      iterations: unfolded steps of the estimate; by default as in training.
      sweep: also score 1, 2 … so many steps (DAN's figure 6); 0 for no sweep.
      self_ensemble: average over the eight flips and turns of the image.

    Raises:
      DataError: the choices contradict each other.
    """

    kernels: tuple[KernelChoice, ...] = ("estimated",)
    iterations: int | None = None
    sweep: int = 0
    self_ensemble: bool = False

    def __post_init__(self) -> None:
        if self.sweep and self.self_ensemble:
            raise DataError("a sweep over unfolded steps and self-ensemble cannot be asked for together")
        if self.sweep and "estimated" not in self.kernels:
            raise DataError("a sweep over unfolded steps is about the estimated kernel: ask for that as well")

    @classmethod
    def of(cls, model: Model | Pipeline) -> Methods:
        """What a model is made for: its own estimate of the kernel, or the true one if it has none."""
        return cls(kernels=("true",)) if model.needs_kernel else cls()

    def check(self, model: Model | Pipeline) -> None:
        """Raises DataError if a model cannot do what is asked."""
        name = type(model.module).__name__
        if "estimated" in self.kernels and model.needs_kernel:
            raise DataError(
                f"{name} has to be told the kernel: score it with the true kernel, or join it "
                "with an estimator (ESTIMATOR+SOLVER)"
            )
        if self.sweep and model.restores and not isinstance(model.module, Unfolded):
            raise DataError(f"{name} unfolds no steps that could be told apart: leave --sweep out")
        if not model.takes_kernel and self.kernels != ("estimated",):
            raise DataError(f"{name} uses no kernel: it can only be scored as it is")
        if not model.restores and (self.sweep or self.iterations is not None):
            raise DataError(f"{name} repeats no step: leave iterations and a sweep out")


def evaluate(
    model: Model | Pipeline,
    tests: EvaluationSet,
    methods: Methods = Methods(),
    *,
    failures: list[str] | None = None,
    journal: Journal | None = None,
    bar: str = "",
) -> list[Row]:
    """Scores a model on a test set.

    Args:
      model: to score.
      tests: the test set.
      methods: how it restores.
      failures: collects a line for each image that cannot be used; without it the first one raises.
      journal: remembers the images that are done; those are not restored again.
      bar: name on a progress bar; none if it is empty.

    Returns:
      A row for each image, blur and method.

    Raises:
      DataError: no image can be used, or one cannot and ``failures`` was not given; or the model cannot do what is
        asked.
    """
    methods.check(model)
    if isinstance(model, Pipeline):
        model = dataclasses.replace(model, border="circular" if tests.protocol.blur_mode == "circular" else "reflect")
    rows: list[Row] = []
    total = len(tests.names) * tests.trials_per_image
    with logging_redirect_tqdm(), tqdm(total=total, desc=bar, unit="image", disable=not bar) as progress:
        for index in range(len(tests.names)):
            try:
                rows += _evaluate_image(model, tests, index, methods, journal, progress)
            except DataError as error:
                if failures is None:
                    raise
                failures.append(str(error))
                log.warning("left out %s", error)
    if not rows:
        raise DataError(f"no test image can be used; first: {failures[0]}" if failures else "there are no test images")
    return rows


def _evaluate_image(
    model: Model | Pipeline, tests: EvaluationSet, index: int, methods: Methods, journal: Journal | None, progress: tqdm
) -> list[Row]:
    image = tests.open(index)
    rows = journal.rows_of(image) if journal is not None else None
    if rows is not None:
        progress.update(tests.trials_per_image)
        return rows
    rows = []
    for trial in image.trials:
        rows += score(model, trial, tests.protocol, methods)
        progress.update()
    if journal is not None:
        journal.add(image, rows)
    return rows


def score(model: Model | Pipeline, trial: Trial, protocol: Protocol, methods: Methods = Methods()) -> list[Row]:
    """A row for each method, of one trial; scores are measured on 8-bit images.

    Raises:
      DataError: the true kernel is asked for and not known, or too wide for the model.
    """
    bicubic: dict[str, float] = {}
    if model.restores:
        scores = _image_scores(enlarge_bicubic(trial.lr, protocol.scale), trial.hr, protocol)
        bicubic = {f"bicubic_{name}": value for name, value in scores.items()}
    rows = []
    for name, restored, seconds in _restorations(model, trial, methods):
        rows.append(
            Row(
                image=trial.image,
                case=trial.case,
                sigma=trial.sigma,
                method=name,
                **_image_scores(restored.image, trial.hr, protocol),
                **bicubic,
                **_kernel_scores(restored, trial, protocol, model.pca_basis),
                seconds=seconds,
            )
        )
    return rows


def fixed_kernel_rows(rows: list[Row], protocol: Protocol, kernel: np.ndarray, name: str) -> list[Row]:
    """What naming one kernel for every image scores: the baseline of those who estimate kernels.

    Args:
      rows: of a model on synthetic tests; the new ones have the same images and cases.
      protocol: of these tests.
      kernel: [K, K].
      name: of the method.
    """
    truth = {case.label: case.kernel for case in protocol.cases}
    main = next(iter(group(rows, "method").values()))
    return [
        Row(
            *(row.image, row.case, row.sigma, name),
            kernel_l1=kernel_l1(kernel, truth[row.case]),
            kernel_psnr=kernel_psnr(kernel, truth[row.case]),
        )
        for row in main
    ]


def _restorations(model: Model, trial: Trial, methods: Methods) -> typing.Iterator[tuple[str, Restored, float | None]]:
    """Name, result and seconds of each method; a sweep is run at once, so that its parts have no time of their own."""
    if not model.restores and not methods.self_ensemble:
        start = time.perf_counter()
        coarse, refined = restore_steps(model, trial.lr)
        yield BLIND, refined, time.perf_counter() - start
        yield COARSE, coarse, None
        return
    steps: list[Restored] = []
    if methods.sweep:
        own = methods.iterations or model.module.iterations
        steps = restore_steps(model, trial.lr, max(methods.sweep, own))
    for choice in methods.kernels:
        if choice == "estimated" and steps:
            yield BLIND, steps[own - 1], None
            continue
        start = time.perf_counter()
        restored = restore_image(
            model,
            trial.lr,
            kernel=_kernel_for(choice, trial),
            iterations=methods.iterations,
            self_ensemble=methods.self_ensemble,
        )
        yield _METHOD_NAMES[choice], restored, time.perf_counter() - start
    for t, restored in enumerate(steps[: methods.sweep], 1):
        yield f"T = {t}", restored, None


def _kernel_for(choice: KernelChoice, trial: Trial) -> np.ndarray | None:
    if choice == "estimated":
        return None
    if choice == "none":
        return np.asarray(dirac(3))
    if trial.kernel is None:
        raise DataError(f"{trial.image}: its true kernel is not known")
    return trial.kernel


def _image_scores(image: np.ndarray | None, hr: np.ndarray, protocol: Protocol) -> dict[str, float]:
    if image is None:
        return {}
    channels = ("y", "rgb") if protocol.rgb else ("y",)
    try:
        scores = {f"psnr_{channel}": psnr(image, hr, protocol.border, channel) for channel in channels}
        return scores | {f"ssim_{channel}": ssim(image, hr, protocol.border, channel) for channel in channels}
    except ValueError as error:  # too small
        raise DataError(str(error)) from None


def _kernel_scores(
    restored: Restored, trial: Trial, protocol: Protocol, basis: np.ndarray | None
) -> dict[str, float | None]:
    """Distance of the kernel from the truth, as far as both are known."""
    if restored.kernel is None or trial.kernel is None:
        return {}
    scores = {
        "kernel_l1": kernel_l1(restored.kernel, trial.kernel),
        "kernel_psnr": kernel_psnr(restored.kernel, trial.kernel),
        "lr_psnr": psnr(make_lr(trial.hr, protocol, restored.kernel), trial.lr, border=0),
    }
    size = 0 if basis is None else round(basis.shape[0] ** 0.5)
    if restored.code is not None and size >= trial.kernel.shape[0]:
        truth = encode(jnp.asarray(fit_kernel(trial.kernel, size)[0]), jnp.asarray(basis))
        scores["code_l1"] = code_l1(restored.code, truth)
    return scores
