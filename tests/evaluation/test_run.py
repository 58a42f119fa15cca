import json

import numpy as np
import pytest

from blindsr_jax import metrics
from blindsr_jax.errors import DataError
from blindsr_jax.evaluation.methods import Methods
from blindsr_jax.evaluation.panel import unfolding_panel
from blindsr_jax.evaluation.protocols import gaussian8, s_fold_circular
from blindsr_jax.evaluation.resume_log import ResumeLog
from blindsr_jax.evaluation.run import evaluate, score
from blindsr_jax.evaluation.samples import SyntheticTests, make_lr, synthetic_sample
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.restore import restore_image, restore_steps
from blindsr_jax.networks import build, init_variables
from tests.evaluation.conftest import Images


def _sample(photo, case=2, protocol=gaussian8(4)):  # noqa: B008
    return synthetic_sample("photo", photo, protocol, protocol.cases[case])


def test_a_row_holds_scores_of_the_saved_pixels(model, photo):
    sample = _sample(photo)
    (row,) = score(model, sample, gaussian8(4))
    restored = restore_image(model, sample.lr)
    assert restored.image.dtype == np.uint8
    assert row.psnr_y == metrics.psnr(restored.image, photo, 4)
    assert row.ssim_y == metrics.ssim(restored.image, photo, 4)
    assert row.kernel_l1 == pytest.approx(metrics.kernel_l1(restored.kernel, sample.kernel))
    again = make_lr(photo, gaussian8(4), restored.kernel)
    assert row.lr_psnr == pytest.approx(metrics.psnr(again, sample.lr, 0))
    assert row.code_l1 is None  # this model's kernels are 11 wide, the protocol's 21
    assert row.psnr_rgb is None
    assert 15 < row.bicubic_psnr_y < 40
    assert (row.method, row.sigma) == ("blind", pytest.approx(2.2))


def test_rgb_is_scored_where_the_protocol_says_so(model, photo):
    protocol = s_fold_circular(4, {"k": np.eye(3) / 3})
    sample = _sample(photo, 0, protocol)
    (row,) = score(model, sample, protocol)
    restored = restore_image(model, sample.lr).image
    assert row.psnr_rgb == metrics.psnr(restored, photo, 4, "rgb")
    assert row.ssim_rgb == metrics.ssim(restored, photo, 4, "rgb")
    assert row.bicubic_psnr_rgb is not None


def test_methods_differ_only_in_the_kernel(model, photo):
    protocol = s_fold_circular(4, {"k": np.eye(5) / 5})
    sample = _sample(photo, 0, protocol)
    rows = {row.method: row for row in score(model, sample, protocol, Methods(("estimated", "true", "none")))}
    assert list(rows) == ["blind", "true kernel", "no kernel"]
    assert rows["true kernel"].kernel_l1 == pytest.approx(0, abs=1e-6)
    assert rows["true kernel"].code_l1 == pytest.approx(0, abs=1e-5)
    assert rows["no kernel"].kernel_l1 == pytest.approx(1.6)  # 4/5 too much in the centre, 4/5 missing elsewhere
    dirac = np.zeros((11, 11), np.float32)
    dirac[5, 5] = 1
    for name, kernel in (("true kernel", sample.kernel), ("no kernel", dirac)):
        image = restore_image(model, sample.lr, kernel=kernel).image
        assert rows[name].psnr_y == metrics.psnr(image, photo, 4), name


def test_a_sweep_equals_separate_runs(model, photo):
    sample = _sample(photo)
    rows = {row.method: row for row in score(model, sample, gaussian8(4), Methods(sweep=3, iterations=2))}
    assert list(rows) == ["blind", "T = 1", "T = 2", "T = 3", "best T"]
    assert rows["blind"].psnr_y == rows["T = 2"].psnr_y
    for t in (1, 2, 3):
        (alone,) = score(model, sample, gaussian8(4), Methods(iterations=t))
        assert alone.psnr_y == pytest.approx(rows[f"T = {t}"].psnr_y, abs=1e-3)
        assert alone.kernel_l1 == pytest.approx(rows[f"T = {t}"].kernel_l1, abs=1e-5)


def test_a_sweep_of_dssr_reports_its_means(photo):
    import jax

    network = build("dssr", scale=4, features=4, blocks=1, refine_blocks=1)
    dssr = Model(network, jax.jit(lambda: init_variables(network, jax.random.key(0, impl="rbg")))())
    sample = _sample(photo)
    rows = {row.method: row for row in score(dssr, sample, gaussian8(4), Methods(sweep=3, iterations=2))}
    assert rows["blind"].psnr_y == rows["T = 2"].psnr_y != rows["T = 3"].psnr_y
    for t in (1, 3):
        (alone,) = score(dssr, sample, gaussian8(4), Methods(iterations=t))
        assert alone.psnr_y == pytest.approx(rows[f"T = {t}"].psnr_y, abs=1e-3)
    assert rows["T = 1"].psnr_y != rows["T = 3"].psnr_y
    assert rows["blind"].kernel_l1 is None
    in_rgb = [metrics.psnr(step.image, photo, 4, "rgb") for step in restore_steps(dssr, sample.lr, 3)]
    assert rows["best T"].psnr_y == rows[f"T = {np.argmax(in_rgb) + 1}"].psnr_y
    with pytest.raises(DataError, match="DSSR takes no kernel"):
        evaluate(dssr, SyntheticTests(Images(photo), gaussian8(4)), Methods(("true",)))


def test_contradicting_methods_are_refused():
    with pytest.raises(DataError, match="self-ensemble"):
        Methods(sweep=3, self_ensemble=True)
    with pytest.raises(DataError, match="estimated kernel"):
        Methods(("true",), sweep=3)


def test_images_are_used_at_their_own_sizes(model, photo):
    tests = SyntheticTests(Images(photo, photo[:70, :83]), gaussian8(4).subset(2))
    rows = evaluate(model, tests)
    assert [(row.image, row.case) for row in rows] == [
        ("im0.png", "σ=1.80"),
        ("im0.png", "σ=3.20"),
        ("im1.png", "σ=1.80"),
        ("im1.png", "σ=3.20"),
    ]
    assert rows[0].bicubic_psnr_y > rows[1].bicubic_psnr_y, "more blur, lower score"
    assert len(evaluate(model, SyntheticTests(Images(photo, photo), gaussian8(4).subset(1), limit=1))) == 1


def test_a_bad_image_is_named_and_the_others_scored(model, photo):
    class Damaged(Images):
        def read(self, index):
            if index == 0:
                raise DataError("im0.png: it may be damaged")
            return super().read(index)

    tests = SyntheticTests(Damaged(photo, photo), gaussian8(4).subset(1))
    failures = []
    assert [row.image for row in evaluate(model, tests, failures=failures)] == ["im1.png"]
    assert failures == ["im0.png: it may be damaged"]
    with pytest.raises(DataError, match="may be damaged"):
        evaluate(model, tests)


class Interrupted(Images):
    """Ctrl-C while the second image is read."""

    def read(self, index):
        if index == 1:
            raise KeyboardInterrupt
        return super().read(index)


def test_an_interrupted_evaluation_goes_on(model, photo, tmp_path):
    images, protocol = (photo, photo[::-1].copy()), gaussian8(4).subset(2)
    whole = evaluate(model, SyntheticTests(Images(*images), protocol))
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, SyntheticTests(Interrupted(*images), protocol), resume_log=ResumeLog(tmp_path, {"a": 1}))
    resume_log = json.loads((tmp_path / "rows.json").read_text())["images"]
    assert list(resume_log) == ["im0.png"]
    rows = evaluate(model, SyntheticTests(Images(*images), protocol), resume_log=ResumeLog(tmp_path, {"a": 1}))
    for row, want in zip(rows, whole, strict=True):
        assert (row.image, row.case, row.psnr_y, row.kernel_l1) == (want.image, want.case, want.psnr_y, want.kernel_l1)
    seconds = {row.seconds for row in rows if row.image == "im0.png"}
    assert all(str(value) in json.dumps(resume_log) for value in seconds), "the finished image is not scored again"


def test_a_replaced_image_is_scored_again(model, photo, tmp_path):
    protocol = gaussian8(4).subset(1)
    first = evaluate(model, SyntheticTests(Images(photo), protocol), resume_log=ResumeLog(tmp_path, {}))
    second = evaluate(model, SyntheticTests(Images(photo[::-1]), protocol), resume_log=ResumeLog(tmp_path, {}))
    assert first[0].psnr_y != second[0].psnr_y


def test_a_resume_log_of_another_question_is_kept(tmp_path, model, photo):
    tests = SyntheticTests(Images(photo), gaussian8(4).subset(1))
    evaluate(model, tests, resume_log=ResumeLog(tmp_path, {"weights": "a", "data": "x"}))
    before = (tmp_path / "rows.json").read_bytes()
    with pytest.raises(DataError, match=r"something else \(another weights\)"):
        ResumeLog(tmp_path, {"weights": "b", "data": "x"})
    assert (tmp_path / "rows.json").read_bytes() == before
    assert len(ResumeLog(tmp_path, {"weights": "b"}, overwrite=True)) == 0
    (tmp_path / "rows.json").write_text('{"question": {}')
    with pytest.raises(DataError, match="--overwrite starts anew"):
        ResumeLog(tmp_path, {})


def test_panel_shows_every_step(model, photo):
    protocol = gaussian8(4)
    picture = unfolding_panel(model, synthetic_sample("x", photo, protocol, protocol.cases[0], crop=64))
    cells = 3 + 4 + 1 + 4  # LR, bicubic, truth; steps; the true kernel; the kernels
    assert picture.size[0] >= 4 * 64
    assert picture.size[1] >= cells // 4 * 64
