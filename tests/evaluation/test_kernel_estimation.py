"""Models that only estimate kernels are scored, reported, plotted and drawn like others."""

import jax
import numpy as np
import pytest

from blindsr_jax import metrics
from blindsr_jax.errors import DataError
from blindsr_jax.evaluation.methods import Methods
from blindsr_jax.evaluation.panel import draw_panel
from blindsr_jax.evaluation.protocols import gaussian8, s_fold_circular
from blindsr_jax.evaluation.report import beside_published, headline, score_of, summarise, write_report
from blindsr_jax.evaluation.run import evaluate, fixed_kernel_rows, score
from blindsr_jax.evaluation.samples import SyntheticTests, synthetic_sample
from blindsr_jax.evaluation.scores import Row
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.restore import restore_image, restore_steps
from blindsr_jax.networks import build, init_variables
from blindsr_jax.pictures import gradient_levels
from tests.evaluation.conftest import Images


@pytest.fixture(scope="module")
def estimator():
    network = build("kernelnet", scale=2, width=4, refine_features=3)
    return Model(network, jax.jit(lambda: init_variables(network, jax.random.key(0, impl="rbg")))())


def _sample(photo):
    protocol = s_fold_circular(2, {"k": np.eye(5) / 5})
    return synthetic_sample("photo", photo, protocol, protocol.cases[0]), protocol


def test_rows_are_about_kernels_alone(estimator, photo):
    sample, protocol = _sample(photo)
    blind, coarse = score(estimator, sample, protocol)
    steps = [restored.kernel for restored in restore_steps(estimator, sample.lr)]
    assert (blind.method, coarse.method) == ("blind", "coarse kernel")
    assert (blind.psnr_y, blind.ssim_y, blind.psnr_rgb, blind.bicubic_psnr_y) == (None,) * 4
    assert [coarse.kernel_l1, blind.kernel_l1] == [metrics.kernel_l1(kernel, sample.kernel) for kernel in steps]
    assert blind.lr_psnr > 10
    restored = restore_image(estimator, sample.lr)
    assert restored.image is None
    np.testing.assert_allclose(restored.kernel, steps[1], atol=1e-6)


def test_self_ensemble_averages_kernels(estimator, photo):
    """The average estimate of a mirrored image is the mirrored average; a single estimate is not."""
    sample, protocol = _sample(photo[:64, :64])
    averaged, mirrored = (restore_image(estimator, lr, self_ensemble=True) for lr in (sample.lr, sample.lr[::-1]))
    assert averaged.image is None
    np.testing.assert_allclose(averaged.kernel, mirrored.kernel[::-1], atol=1e-6)
    alone, other = (restore_image(estimator, lr).kernel for lr in (sample.lr, sample.lr[::-1]))
    assert np.abs(alone - other[::-1]).max() > 1e-6
    (row,) = score(estimator, sample, protocol, Methods(self_ensemble=True))
    assert row.kernel_l1 == pytest.approx(metrics.kernel_l1(averaged.kernel, sample.kernel))


def test_nothing_else_can_be_asked_for(estimator, photo):
    tests = SyntheticTests(Images(photo), gaussian8(2).subset(1))
    for methods, message in (
        (Methods(sweep=3), "repeats no step"),
        (Methods(iterations=2), "repeats no step"),
        (Methods(("true",)), "takes no kernel"),
    ):
        with pytest.raises(DataError, match=message):
            evaluate(estimator, tests, methods)


def test_a_report_without_images(estimator, photo, tmp_path):
    protocol = gaussian8(2).subset(2)
    rows = evaluate(estimator, SyntheticTests(Images(photo), protocol))
    rows += fixed_kernel_rows(rows, protocol, protocol.cases[0].kernel, "fixed")
    summary = summarise(rows, protocol="gaussian8", scale=2, data="Set5")
    assert list(summary["methods"]) == ["blind", "coarse kernel", "fixed"]
    assert summary["rows"] == 2
    assert "perfect_rows" not in summary
    assert score_of(summary) == -summary["kernel_l1"]
    assert headline(summary).startswith(f"gaussian8 ×2: kernel ℓ1 {summary['kernel_l1']:.3f} (coarse kernel ")
    assert beside_published(rows, summary) == []
    write_report(tmp_path, rows, summary)
    page = (tmp_path / "report.md").read_text()
    assert "| fixed |" in page and "| bicubic |" not in page
    assert (tmp_path / "widths.png").is_file()
    first, second = [row for row in rows if row.method == "fixed"]
    assert first.kernel_l1 == 0 < second.kernel_l1


def test_models_that_restore_are_scored_by_their_image():
    rows = [Row("a", "σ=1", 1.0, "blind", 30.0, 0.9, 25.0, 0.8, kernel_l1=0.5)]
    assert score_of(summarise(rows, protocol="p", scale=2)) == 30.0
    perfect = [Row("a", "σ=1", 1.0, "blind", float("inf"), 1.0, 25.0, 0.8, kernel_l1=0.5)]
    summary = summarise(perfect, protocol="p", scale=2)
    assert score_of(summary) is None
    assert headline(summary).endswith("no finite PSNR")


def test_the_panel_shows_what_was_found(estimator, photo):
    picture = np.asarray(draw_panel(estimator, photo, _sample(photo)[1]))
    factor = 256 // 48
    assert picture.shape == (2 * (48 * factor + 28) + 6, 4 * (64 * factor + 6) + 6, 3)
    lr = picture[28 : 28 + 48 * factor, 6 : 6 + 64 * factor]
    np.testing.assert_array_equal(lr[::factor, ::factor], _sample(photo)[0].lr)


def test_gradients_are_grey_around_their_zero():
    levels = gradient_levels(np.array([[0.0, 0.25, 1.0], [0.0, -0.25, -1.0]]))
    assert levels.tolist() == [[128, 191, 255], [128, 64, 0]]
    assert np.all(gradient_levels(np.zeros((4, 4))) == 128)
