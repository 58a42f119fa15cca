"""Several models on the same samples, in one report."""

import jax
import numpy as np
import pytest

from blindsr_jax.errors import DataError
from blindsr_jax.evaluation.methods import Methods
from blindsr_jax.evaluation.protocols import gaussian8, s_fold_circular
from blindsr_jax.evaluation.report import headline, method_table, published_kernels_table, summarise, tables
from blindsr_jax.evaluation.run import evaluate
from blindsr_jax.evaluation.samples import SyntheticTests
from blindsr_jax.evaluation.scores import Row, group, mean_scores
from blindsr_jax.inference.loading import load
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.pipeline import pipeline
from blindsr_jax.inference.solver import Solver
from blindsr_jax.networks import build, init_variables
from tests.evaluation.conftest import Images


def _initialised(name, **sizes):
    network = build(name, **sizes)
    return network, jax.jit(lambda: init_variables(network, jax.random.key(0, impl="rbg")))()


@pytest.fixture(scope="module")
def estimator():
    return Model(*_initialised("kernelnet", scale=2, width=4, refine_features=3))


@pytest.fixture(scope="module")
def solver():
    return Solver(*_initialised("usrnet", iterations=2, hyper_features=4, features=(4, 4, 4, 4), blocks=1))


def _tests(photo, count=2, **options):
    kernels = {f"k{i}": np.eye(2 * i + 3) / (2 * i + 3) for i in range(count)}
    return SyntheticTests(
        Images(photo, photo[::-1].copy(), photo[:, ::-1].copy()), s_fold_circular(2, kernels, **options)
    )


def _without_times(rows):
    return [{k: v for k, v in vars(row).items() if not k.endswith("seconds") and k != "method"} for row in rows]


def test_each_model_scores_as_it_does_alone(estimator, solver, photo):
    tests, gaussian = _tests(photo, one_kernel_per_image=True), load("fixed-gaussian-x2")
    models = {"k+u": pipeline(estimator, solver), "g+u": pipeline(gaussian, solver), "k": estimator}
    (name, first), *others = models.items()
    rows = evaluate(first, tests, name=name, beside=dict(others))
    methods = group(rows, "method")
    assert list(methods) == ["k+u", "g+u", "k", "k, coarse kernel"]
    for label, model in models.items():
        alone = group(evaluate(model, tests), "method")
        assert _without_times(methods[label]) == _without_times(alone["blind"])
        assert all(0 < row.kernel_seconds <= row.seconds for row in methods[label])
    assert mean_scores(methods["k"])["psnr_y"] is None
    assert methods["k"][0].kernel_l1 == pytest.approx(methods["k+u"][0].kernel_l1, abs=1e-6)
    assert methods["k"][0].kernel_l1 != pytest.approx(methods["g+u"][0].kernel_l1, abs=1e-3)


def test_an_estimator_is_asked_once_for_each_trial(estimator, solver, photo):
    """The times would differ if the estimator ran twice."""
    again = Model(estimator.module, estimator.variables)
    beside = {"noisy": pipeline(again, solver, sigma=0.1), "alone": again}
    rows = group(evaluate(pipeline(estimator, solver), _tests(photo), name="first", beside=beside), "method")
    for first, noisy, alone in zip(rows["first"], rows["noisy"], rows["alone"]):
        assert first.kernel_seconds == noisy.kernel_seconds == alone.kernel_seconds == alone.seconds
        assert first.psnr_y != noisy.psnr_y


def test_other_methods_are_the_first_models(estimator, solver, photo):
    both, beside = pipeline(estimator, solver), {"g+u": pipeline(load("fixed-gaussian-x2"), solver)}
    rows = evaluate(both, _tests(photo, 1), Methods(("estimated", "true")), name="k+u", beside=beside)
    methods = group(rows, "method")
    assert list(methods) == ["k+u", "k+u, true kernel", "g+u"]
    assert methods["k+u, true kernel"][0].kernel_seconds is None
    assert methods["k+u, true kernel"][0].kernel_l1 == pytest.approx(0, abs=1e-6)


def test_a_dan_has_no_time_of_its_kernel_unless_a_solver_uses_it(model, solver, photo):
    tests = SyntheticTests(Images(photo), gaussian8(4).subset(1))
    alone, joined = evaluate(model, tests, name="dan", beside={"dan+u": pipeline(model, solver)})
    assert alone.kernel_seconds is None and joined.kernel_seconds > 0
    assert joined.kernel_l1 == pytest.approx(alone.kernel_l1, abs=1e-6)


def test_what_cannot_stand_together_is_named(estimator, solver, model, photo):
    tests, both = _tests(photo, 1), pipeline(estimator, solver)
    for beside, methods, message in (
        ({"dan": model}, Methods(), "dan works at scale 4, the tests are of scale 2"),
        ({"u": solver.at_scale(2)}, Methods(), "needs a kernel"),
        ({"k+u": both}, Methods(), "two models are called k.u"),
        ({"k": estimator}, Methods(sweep=2), "takes a single model"),
    ):
        with pytest.raises(DataError, match=message):
            evaluate(both, tests, methods, name="k+u", beside=beside)


def test_one_kernel_per_image_goes_round(photo):
    tests = _tests(photo, one_kernel_per_image=True)
    assert tests.protocol.name == "s_fold_circular, one of 2 kernels per image"
    assert tests.samples_per_image == 1
    assert tests.protocol != _tests(photo).protocol
    assert [[sample.case for sample in tests.open(i).samples] for i in range(3)] == [["k0"], ["k1"], ["k0"]]
    assert [sample.case for sample in _tests(photo).open(1).samples] == ["k0", "k1"]


def _row(method, psnr=None, **scores):
    return Row("a", "k", None, method, psnr, None if psnr is None else 0.9, psnr and 25.0, psnr and 0.8, **scores)


def test_estimators_and_restorers_share_a_report():
    rows = [_row("k", kernel_l1=0.2, kernel_seconds=0.1), _row("dssr", 30.0), _row("k+u", 31.0, kernel_l1=0.2)]
    summary = summarise(rows, protocol="s_fold_circular", scale=2)
    assert headline(summary) == "s_fold_circular ×2: kernel ℓ1 0.200 (k+u 0.200)"
    table = method_table(rows)
    assert [line.split(" | ")[0] for line in table[2:]] == ["| k", "| dssr", "| k+u", "| bicubic"]
    assert "25.00" in table[-1] and "kernel seconds" in table[0]


def test_kernel_seconds_are_medians():
    rows = [_row("k", kernel_seconds=seconds) for seconds in (1.0, 3.0, 100.0)]
    assert mean_scores(rows)["kernel_seconds"] == 3.0


def test_kernelnets_table_stands_beside_estimators():
    rows = [_row("k", kernel_l1=0.2, kernel_seconds=0.1)]
    summary = summarise(rows, protocol="s_fold_circular, one of 8 kernels per image", scale=4)
    table = published_kernels_table(rows, summary)
    assert "not public" in table[0] and "test images are different" in table[0]
    assert "| KernelNet | 0.221 | 26.11, 0.841 | 25.55, 0.824 | 0.05 |" in table
    assert "| Fixed Gaussian | 0.311 | 21.79, 0.790 | 24.09, 0.805 |  |" in table
    assert len([line for line in table if line.startswith("| ")]) == 5, "a head and the four methods of ×4"
    assert table in tables(rows, summary)
    for others, other in (
        ([_row("dan", kernel_l1=0.2)], summary),
        (rows, summary | {"protocol": "gaussian8"}),
        (rows, summary | {"scale": 1}),
    ):
        assert published_kernels_table(others, other) == []
