"""Samples through a model: rows of scores."""

from __future__ import annotations

import dataclasses
import logging
import typing

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from blindsr_jax.degradations.pca import encode
from blindsr_jax.errors import DataError
from blindsr_jax.evaluation.candidates import Candidate, candidates_of, name_of
from blindsr_jax.evaluation.methods import BLIND, OWN_ESTIMATE, Estimates, Methods, results_of
from blindsr_jax.evaluation.protocols import Protocol
from blindsr_jax.evaluation.resume_log import ResumeLog
from blindsr_jax.evaluation.samples import EvaluationSet, Sample, make_lr
from blindsr_jax.evaluation.scores import Row, group
from blindsr_jax.hosts import gathered, is_first
from blindsr_jax.inference.inputs import fit_kernel
from blindsr_jax.inference.restore import Restored, enlarge_bicubic
from blindsr_jax.inference.restorer import Restorer
from blindsr_jax.metrics import code_l1, kernel_l1, kernel_psnr, psnr, ssim

log = logging.getLogger(__name__)


def evaluate(
    model: Restorer,
    tests: EvaluationSet,
    methods: Methods = OWN_ESTIMATE,
    *,
    beside: typing.Mapping[str, Restorer] | None = None,
    name: str = BLIND,
    failures: list[str] | None = None,
    resume_log: ResumeLog | None = None,
    bar: str = "",
) -> list[Row]:
    """Scores a model on a test set; together, each process its share of the images, of which all get all rows.

    Args:
      model: to score.
      tests: the test set.
      methods: how it restores.
      beside: other models by name, which restore the very same samples, each with its own estimate of the kernel.
      name: of the method in which the model itself uses its own estimate.
      failures: collects a line for each image that cannot be used; without it the first one raises.
      resume_log: remembers the images that are done; those are not restored again.
      bar: name on a progress bar; none if it is empty.

    Returns:
      A row for each image, blur and method.

    Raises:
      DataError: no image can be used, or one cannot and ``failures`` was not given; or a model cannot do what is
        asked, or is of another scale than the tests.
    """
    candidates = candidates_of(model, methods, name, beside or {}, tests.protocol)
    mine = range(jax.process_index(), len(tests.names), jax.process_count())
    done: dict[int, tuple[list[Row], str]] = {}
    total = len(mine) * tests.samples_per_image
    with (
        logging_redirect_tqdm(),
        tqdm(total=total, desc=bar, unit="image", disable=not bar or not is_first()) as progress,
    ):
        for index in mine:
            try:
                done[index] = _evaluate_image(candidates, tests, index, resume_log, progress), ""
            except DataError as error:
                if failures is None:
                    raise
                done[index] = [], str(error)
                log.warning("left out %s", error)
    done = _of_all(done)
    rows = [row for index in sorted(done) for row in done[index][0]]
    unusable = [done[index][1] for index in sorted(done) if done[index][1]]
    if failures is not None:
        failures += unusable
    if not rows:
        raise DataError(f"no test image can be used; first: {unusable[0]}" if unusable else "there are no test images")
    return rows


def _of_all(done: dict[int, tuple[list[Row], str]]) -> dict[int, tuple[list[Row], str]]:
    """The rows and failures of all processes, by number of the image."""
    if jax.process_count() == 1:
        return done
    mine = [(index, [dataclasses.asdict(row) for row in rows], failure) for index, (rows, failure) in done.items()]
    shares = gathered(mine)
    return {index: ([Row(**row) for row in rows], failure) for share in shares for index, rows, failure in share}


def _evaluate_image(
    candidates: list[Candidate], tests: EvaluationSet, index: int, resume_log: ResumeLog | None, progress: tqdm
) -> list[Row]:
    image = tests.open(index)
    rows = resume_log.rows_of(image) if resume_log is not None else None
    if rows is not None:
        progress.update(tests.samples_per_image)
        return rows
    rows = []
    for sample in image.samples:
        estimates = Estimates(sample)
        for name, model, methods in candidates:
            scored = score(model, sample, tests.protocol, methods, estimates)
            rows += [dataclasses.replace(row, method=name_of(row.method, name)) for row in scored]
        progress.update()
    if resume_log is not None:
        resume_log.add(image, rows)
    return rows


def score(
    model: Restorer,
    sample: Sample,
    protocol: Protocol,
    methods: Methods = OWN_ESTIMATE,
    estimates: Estimates | None = None,
) -> list[Row]:
    """A row for each method, of one sample; scores are measured on 8-bit images.

    Args:
      model: to score.
      sample: one image under one blur.
      protocol: of the sample.
      methods: how the model restores.
      estimates: kernels of the sample that models have found before.

    Raises:
      DataError: the true kernel is asked for and not known, or too wide for the model.
    """
    bicubic: dict[str, float] = {}
    if model.restores:
        scores = _image_scores(enlarge_bicubic(sample.lr, protocol.scale), sample.hr, protocol)
        bicubic = {f"bicubic_{name}": value for name, value in scores.items()}
    return [
        Row(
            image=sample.image,
            case=sample.case,
            sigma=sample.sigma,
            method=one.name,
            **_image_scores(one.restored.image, sample.hr, protocol),
            **bicubic,
            **_kernel_scores(one.restored, sample, protocol, model.pca_basis),
            seconds=one.seconds,
            kernel_seconds=one.kernel_seconds,
        )
        for one in results_of(model, sample, methods, estimates or Estimates(sample))
    ]


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


def _image_scores(image: np.ndarray | None, hr: np.ndarray, protocol: Protocol) -> dict[str, float]:
    if image is None:
        return {}
    channels: tuple[typing.Literal["y", "rgb"], ...] = ("y", "rgb") if protocol.rgb else ("y",)
    try:
        scores = {f"psnr_{channel}": psnr(image, hr, protocol.border, channel) for channel in channels}
        return scores | {f"ssim_{channel}": ssim(image, hr, protocol.border, channel) for channel in channels}
    except ValueError as error:  # too small
        raise DataError(str(error)) from None


def _kernel_scores(
    restored: Restored, sample: Sample, protocol: Protocol, basis: np.ndarray | None
) -> dict[str, float | None]:
    """Distance of the kernel from the truth, as far as both are known."""
    if restored.kernel is None or sample.kernel is None:
        return {}
    scores: dict[str, float | None] = {
        "kernel_l1": kernel_l1(restored.kernel, sample.kernel),
        "kernel_psnr": kernel_psnr(restored.kernel, sample.kernel),
        "lr_psnr": psnr(make_lr(sample.hr, protocol, restored.kernel), sample.lr, border=0),
    }
    size = 0 if basis is None else round(basis.shape[0] ** 0.5)
    if restored.kernel_code is not None and size >= sample.kernel.shape[0]:
        truth = encode(jnp.asarray(fit_kernel(sample.kernel, size)[0]), jnp.asarray(basis))
        scores["code_l1"] = code_l1(restored.kernel_code[: len(truth)], truth)
    return scores
