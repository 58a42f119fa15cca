"""Score models on samples."""

from __future__ import annotations

import dataclasses
import logging
import time
import typing

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from blindsr_jax.degradations.pca import encode
from blindsr_jax.errors import DataError
from blindsr_jax.evaluation.baselines import Baseline
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
from blindsr_jax.metrics import block_edges, code_l1, flat_residual, kernel_l1, kernel_psnr, psnr, ssim

log = logging.getLogger(__name__)

Fields = dict[str, typing.Any]  # fields of a ``Row``
_QUARTER = 0.25  # levels, so that a picture without grain has a ratio as well


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
    """Score a model on a test set. With several processes, each scores a share of the images and receives all rows.

    Args:
      model: the model to score.
      tests: the test set.
      methods: the ways in which the model restores.
      beside: models to compare with, by name. They restore the same samples, each with its own kernel estimate.
      name: the report's name for the model with its own kernel estimate.
      failures: list to which a line is added for each unusable image; without it the first such image raises.
      resume_log: record of finished images, which are not restored again.
      bar: label of the progress bar; empty for no bar.

    Returns:
      A row for each image, blur and method.

    Raises:
      DataError: no image is usable, or one is not and ``failures`` was not given; or a model does not support its
        methods, or has another scale than the tests.
    """
    candidates = candidates_of(model, methods, name, beside or {}, tests.protocol)
    mine = range(jax.process_index(), len(tests.names), jax.process_count())
    done: dict[int, tuple[list[Row], str]] = {}
    compiled: set[tuple[str, tuple[int, ...]]] = set()
    total = len(mine) * tests.samples_per_image
    with (
        logging_redirect_tqdm(),
        tqdm(total=total, desc=bar, unit="image", disable=not bar or not is_first()) as progress,
    ):
        for index in mine:
            try:
                done[index] = _evaluate_image(candidates, tests, index, resume_log, progress, compiled), ""
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
    """Gather the rows and failures of all processes, by number of the image."""
    if jax.process_count() == 1:
        return done
    mine = [(index, [dataclasses.asdict(row) for row in rows], failure) for index, (rows, failure) in done.items()]
    shares = gathered(mine)
    return {index: ([Row(**row) for row in rows], failure) for share in shares for index, rows, failure in share}


def _evaluate_image(
    candidates: list[Candidate],
    tests: EvaluationSet,
    index: int,
    resume_log: ResumeLog | None,
    progress: tqdm,
    compiled: set[tuple[str, tuple[int, ...]]],
) -> list[Row]:
    """Score all candidates on one image; ``compiled`` collects the candidates and LR shapes that have been restored."""
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
            compiling = (name, sample.lr.shape) not in compiled
            compiled.add((name, sample.lr.shape))
            rows += [dataclasses.replace(r, method=name_of(r.method, name), compiling=compiling) for r in scored]
        rows += [_baseline_row(baseline, sample, tests.protocol) for baseline in tests.protocol.baselines]
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
    """Score a model on one sample: a row for each method, measured on 8-bit images.

    Without ground truth, the scores are the measures of ``metrics.no_reference``.

    Args:
      model: the model to score.
      sample: one image under one blur.
      protocol: the sample's protocol.
      methods: the ways in which the model restores.
      estimates: the sample's kernels that estimators have already found.

    Raises:
      DataError: a method needs the true kernel, which is not known or is too wide for the model.
    """
    bicubic = enlarge_bicubic(sample.lr, protocol.scale) if model.restores else None
    bicubic_scores = {f"bicubic_{name}": value for name, value in _scores(bicubic, bicubic, sample, protocol).items()}
    return [
        Row(
            image=sample.image,
            case=sample.case,
            sigma=sample.sigma,
            method=one.name,
            **_with_ratios(_scores(one.restored.image, bicubic, sample, protocol) | bicubic_scores),
            **_kernel_scores(one.restored, sample, protocol, model),
            lr_remade=sample.remade,
            seconds=one.seconds,
            kernel_seconds=one.kernel_seconds,
        )
        for one in results_of(model, sample, methods, estimates or Estimates(sample), protocol.border)
    ]


def fixed_kernel_rows(rows: list[Row], protocol: Protocol, kernel: np.ndarray, name: str) -> list[Row]:
    """Score one fixed kernel for every image, the baseline of kernel estimators.

    Args:
      rows: rows of a model on synthetic tests; the new rows have the same images and cases.
      protocol: the protocol of these tests.
      kernel: [K, K].
      name: name of the method in the report.
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


def _baseline_row(baseline: Baseline, sample: Sample, protocol: Protocol) -> Row:
    start = time.perf_counter()
    image = baseline(sample.lr, protocol.scale)
    seconds = time.perf_counter() - start
    scores = _scores(image, None, sample, protocol)
    return Row(sample.image, sample.case, sample.sigma, str(baseline), **scores, seconds=seconds)


def _scores(image: np.ndarray | None, bicubic: np.ndarray | None, sample: Sample, protocol: Protocol) -> Fields:
    if image is None:
        return {}
    if sample.hr is not None:
        return _image_scores(image, sample.hr, protocol)
    reference = image if bicubic is None else bicubic
    return {"flat_residual": flat_residual(image, reference), "block_edges": block_edges(image, protocol.scale)}


def _with_ratios(scores: Fields) -> Fields:
    """Add the ratios to bicubic of the measures without ground truth."""
    if "flat_residual" not in scores:
        return scores
    flat = (scores["flat_residual"] + _QUARTER) / (scores["bicubic_flat_residual"] + _QUARTER)
    return scores | {"flat_ratio": flat, "block_ratio": scores["block_edges"] / scores["bicubic_block_edges"]}


def _image_scores(image: np.ndarray, hr: np.ndarray, protocol: Protocol) -> Fields:
    channels: tuple[typing.Literal["y", "rgb"], ...] = ("y", "rgb") if protocol.rgb else ("y",)
    try:
        scores = {f"psnr_{channel}": psnr(image, hr, protocol.border, channel) for channel in channels}
        return scores | {f"ssim_{channel}": ssim(image, hr, protocol.border, channel) for channel in channels}
    except ValueError as error:  # the image is too small
        raise DataError(str(error)) from None


def _kernel_scores(restored: Restored, sample: Sample, protocol: Protocol, model: Restorer) -> Fields:
    """Score the estimated kernel against the LR image and the true kernel; empty if either kernel is unknown."""
    if restored.kernel is None or sample.kernel is None or sample.hr is None:
        return {}
    again = make_lr(sample.hr, protocol, restored.kernel, kernel_space=model.kernel_space)
    scores = {"lr_psnr": psnr(again, sample.lr, border=0)}
    if model.kernel_space == "lr":  # the true kernel is one of the HR image
        return scores
    scores["kernel_l1"] = kernel_l1(restored.kernel, sample.kernel)
    scores["kernel_psnr"] = kernel_psnr(restored.kernel, sample.kernel)
    basis = model.pca_basis
    size = 0 if basis is None else round(basis.shape[0] ** 0.5)
    if restored.kernel_code is not None and size >= sample.kernel.shape[0]:
        truth = encode(jnp.asarray(fit_kernel(sample.kernel, size)[0]), jnp.asarray(basis))
        scores["code_l1"] = code_l1(restored.kernel_code[: len(truth)], truth)
    return scores
