import csv
import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import metrics, ops
from blindsr_jax.errors import ConfigError
from blindsr_jax.evaluation import published as published_module
from blindsr_jax.evaluation.panel import unfolding_panel
from blindsr_jax.evaluation.protocols import gaussian8, gaussian_width
from blindsr_jax.evaluation.published import published_rows
from blindsr_jax.evaluation.report import beside_published, summarise, write_report
from blindsr_jax.evaluation.run import evaluate, evaluate_image, make_lr, prepare_hr
from blindsr_jax.inference.model import from_bundle
from blindsr_jax.inference.restore import restore_image
from tests.inference.conftest import tiny_bundle


class _Images:
    def __init__(self, *images):
        self._images = images
        self.names = [f"im{i}.png" for i in range(len(images))]

    def __len__(self):
        return len(self._images)

    def read(self, index):
        return self._images[index]


@pytest.fixture(scope="module")
def model():
    return from_bundle(tiny_bundle(4))


def test_gaussian8_is_the_published_protocol():
    for scale, low, high in [(2, 0.8, 1.6), (3, 1.35, 2.4), (4, 1.8, 3.2)]:
        protocol = gaussian8(scale)
        assert (protocol.name, protocol.border, protocol.downsample) == ("gaussian8", scale, "bicubic")
        np.testing.assert_allclose([case.sigma for case in protocol.cases], np.linspace(low, high, 8))
        assert all(case.kernel.shape == (21, 21) for case in protocol.cases)
    with pytest.raises(ConfigError, match="2, 3 and 4, not 1"):
        gaussian8(1)


def test_gaussian_width_begins_without_any_blur():
    for scale, widest in [(2, 1.8), (3, 2.4), (4, 3.6)]:
        cases = gaussian_width(scale).cases
        assert [case.sigma for case in cases] == pytest.approx([0, widest / 3, 2 * widest / 3, widest])
        assert cases[0].kernel[10, 10] == 1
    with pytest.raises(ConfigError, match="2, 3 and 4, not 1"):
        gaussian_width(1)


def test_published_rows_are_the_papers():
    rows = {row.method: row for row in published_rows("gaussian8", 4, "Set5")}
    assert {"IKC", "DANv1", "DANv2", "DSSR"} <= rows.keys()
    assert (rows["DANv1"].psnr_y, rows["DANv1"].ssim_y) == (31.89, 0.8864)
    widths = published_rows("gaussian_width", 2, "BSD100")
    assert {row.case for row in widths} == {"σ=0.00", "σ=0.60", "σ=1.20", "σ=1.80"}
    assert published_rows("gaussian8", 4, "my photos") == []
    assert published_rows("gaussian8, 2 of 8 widths", 4, "Set5") == []


def test_published_figures_are_the_given_ones(published):
    for name in ("gaussian8.csv", "gaussian_width.csv"):
        packaged = pathlib.Path(published_module.__file__).parent / "published" / name
        assert packaged.read_text() == (published / name).read_text()


@pytest.mark.parametrize("protocol", [gaussian8, gaussian_width])
def test_reports_stand_beside_the_papers(model, photo, protocol):
    rows = evaluate(model, _Images(photo), protocol(4))
    summary = summarise(rows, protocol=protocol(4).name, scale=4, data="Set5", model="ours")
    table = beside_published(rows, summary)
    cases = {"gaussian8": 1, "gaussian_width": 4}[protocol(4).name]
    assert sum("**ours**" in line for line in table) == cases
    assert sum("ONLY 1 of 5 images" in line for line in table) == 2 * cases
    assert any(line.startswith("| DSSR |") for line in table)
    assert beside_published(rows, summary | {"data": "elsewhere"}) == []


def test_a_subset_says_that_it_is_one():
    part = gaussian8(4).subset(2)
    assert part.name == "gaussian8, 2 of 8 widths"
    assert [case.sigma for case in part.cases] == pytest.approx([1.8, 3.2])
    assert gaussian8(4).subset(8) == gaussian8(4)
    assert len(gaussian8(4).subset(1).cases) == 1


def test_lr_is_blurred_sampled_and_rounded(reference):
    """By the operators that equal the authors' code (see tests of ops and degradations)."""
    golden = np.load(reference / "degradation.npz")
    protocol = gaussian8(4)
    blurred = ops.blur(jnp.float32(golden["hr"][:1]) / 255, jnp.asarray(protocol.cases[3].kernel)[None])
    want = np.round(np.clip(ops.imresize(blurred, 1 / 4), 0, 1) * 255)
    np.testing.assert_array_equal(make_lr(golden["hr"][0], protocol, protocol.cases[3]), want[0])


def test_a_row_holds_scores_of_the_saved_pixels(model, photo):
    protocol = gaussian8(4)
    row = evaluate_image(model, photo, protocol, protocol.cases[2], name="photo")
    lr = make_lr(photo, protocol, protocol.cases[2])
    restored = restore_image(model, lr)
    assert restored.image.dtype == np.uint8
    assert row.psnr_y == metrics.psnr(restored.image, photo, 4)
    assert row.ssim_y == metrics.ssim(restored.image, photo, 4)
    assert row.kernel_l1 == pytest.approx(metrics.kernel_l1(restored.kernel, protocol.cases[2].kernel))
    assert row.code_l1 is None  # this model's kernels are 11 wide, the protocol's 21
    assert 15 < row.bicubic_psnr_y < 40
    assert row.sigma == pytest.approx(2.2)


def test_images_are_used_at_their_own_sizes(model, photo):
    rows = evaluate(model, _Images(photo, photo[:70, :83]), gaussian8(4).subset(2))
    assert [(row.image, row.case) for row in rows] == [
        ("im0.png", "σ=1.80"),
        ("im0.png", "σ=3.20"),
        ("im1.png", "σ=1.80"),
        ("im1.png", "σ=3.20"),
    ]
    assert rows[0].bicubic_psnr_y > rows[1].bicubic_psnr_y, "more blur, lower score"
    assert len(evaluate(model, _Images(photo, photo), gaussian8(4).subset(1), limit=1)) == 1


def test_hr_is_cropped_to_the_scale():
    hr = np.zeros((103, 90, 3), np.uint8)
    assert prepare_hr(hr, 4).shape == (100, 88, 3)
    assert prepare_hr(hr, 3, crop=50).shape == (48, 48, 3)


def test_reports_agree_with_the_rows(model, photo, tmp_path):
    rows = evaluate(model, _Images(photo), gaussian8(4).subset(3))
    summary = summarise(rows, protocol="gaussian8", scale=4, parameters=model.parameters, steps=7, config_hash="abc")
    write_report(tmp_path, rows, summary)
    report = json.loads((tmp_path / "report.json").read_text())
    needed = "protocol scale psnr_y ssim_y bicubic_psnr_y kernel_l1 images parameters steps config_hash"
    assert set(needed.split()) <= report.keys()
    assert report["images"] == 1
    assert report["psnr_y"] == pytest.approx(np.mean([row.psnr_y for row in rows]))
    lines = list(csv.DictReader((tmp_path / "report.csv").read_text().splitlines()))
    assert [float(line["psnr_y"]) for line in lines] == [row.psnr_y for row in rows]
    page = (tmp_path / "report.md").read_text()
    assert page.startswith("# gaussian8, ×4")
    assert f"| im0.png | {report['psnr_y']:.2f} |" in page


def test_panel_shows_every_step(model, photo):
    protocol = gaussian8(4)
    picture = unfolding_panel(model, photo, protocol, protocol.cases[0], crop=64)
    cells = 3 + 4 + 1 + 4  # LR, bicubic, truth; steps; the true kernel; the kernels
    assert picture.size[0] >= 4 * 64
    assert picture.size[1] >= cells // 4 * 64
