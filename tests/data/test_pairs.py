"""Stored pairs of HR and LR files, and DIV2KRK's folders."""

import json

import numpy as np
import pytest
import scipy.io
from PIL import Image

from blindsr_jax.cli import main
from blindsr_jax.data.div2krk import Div2krkSource
from blindsr_jax.data.pairs import PairFolder
from blindsr_jax.errors import DataError
from blindsr_jax.weights.bundle import save_bundle
from tests.inference.conftest import tiny_bundle


def _save(path, size, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey,) * 3).save(path)


_LAYOUTS = {
    "RealSR": ("Canon/Test/4/Canon_00{}_HR.png", "Canon/Test/4/Canon_00{}_LR4.png"),
    "DRealSR": ("test_HR/sony_{}_x4.png", "test_LR/sony_{}_x1.png"),
    "DIV2K": ("DIV2K_valid_HR/080{}.png", "DIV2K_valid_LR_bicubic/X4/080{}x4.png"),
    "plain folders": ("HR/{}.png", "LR/{}.png"),
    "gt and lq": ("gt/a{}.png", "lq/b{}.png"),
}


@pytest.mark.parametrize("layout", _LAYOUTS)
def test_layouts_of_real_sets(tmp_path, layout):
    for number in (1, 2):
        for path, size, grey in zip(_LAYOUTS[layout], ((48, 40), (12, 10)), (10 * number, 20 * number)):
            _save(tmp_path / path.format(number), size, grey)
    source = PairFolder(tmp_path, 4)
    assert len(source) == 2 and not source.left_out
    for index, number in enumerate((1, 2)):
        stored = source.read(index)
        assert stored.hr.shape == (40, 48, 3) and stored.hr[0, 0, 0] == 10 * number
        assert stored.lr.shape == (10, 12, 3) and stored.lr[0, 0, 0] == 20 * number
        assert stored.kernel is None


def test_equal_names_before_equal_numbers(tmp_path):
    """By number alone, two of these four would be pairs of different pictures."""
    for name, grey in (("city_2_1", 1), ("city_1_2", 2)):
        _save(tmp_path / "HR" / f"{name}.png", (20, 20), grey)
        _save(tmp_path / "LR" / f"{name}.png", (10, 10), grey)
    source = PairFolder(tmp_path, 2)
    assert all(np.all(s.hr[0, 0] == s.lr[0, 0]) for s in map(source.read, range(2)))


def test_files_without_a_partner_are_named(tmp_path):
    for name in ("HR/DIV2K_0801.png", "HR/other.png", "LR/lr2_0801.png", "LR/lr2_0003.png"):
        _save(tmp_path / name, (20, 20) if name.startswith("HR") else (10, 10), 9)
    source = PairFolder(tmp_path, 2)
    assert source.names == ["DIV2K_0801.png"]
    assert len(source.left_out) == 2
    assert "other.png: no file of this name or number among the LR images" in source.left_out[0]
    assert "lr2_0003.png: no file of this name or number among the HR images" in source.left_out[1]


def test_files_of_other_scales_are_no_lr_images(tmp_path):
    for name, size in (("a_HR", 24), ("a_LR2", 12), ("a_LR4", 6)):
        _save(tmp_path / f"{name}.png", (size, size), 9)
    assert PairFolder(tmp_path, 4).read(0).lr.shape == (6, 6, 3)
    with pytest.raises(DataError, match="no pairs here; expected names"):
        PairFolder(tmp_path, 3)


def test_sizes_that_do_not_fit_are_named(tmp_path):
    _save(tmp_path / "HR" / "a.png", (24, 24), 9)
    _save(tmp_path / "LR" / "a.png", (24, 24), 9)
    with pytest.raises(DataError, match=r"24x24 pixels times 2 is not the size of .* it was enlarged"):
        PairFolder(tmp_path, 2).read(0)


def test_a_report_of_pairs(tmp_path):
    save_bundle(tmp_path / "tiny.safetensors", tiny_bundle())
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 24, 3), np.uint8)
        (tmp_path / "set").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "set" / f"x{i}_LR2.png")
        Image.fromarray(pixels.repeat(2, 0).repeat(2, 1)).save(tmp_path / "set" / f"x{i}_HR.png")
    _save(tmp_path / "set" / "x9_LR2.png", (9, 9), 9)
    options = ["--protocol", "pairs", "--data", str(tmp_path / "set"), "-o", str(tmp_path / "report")]
    assert main(["evaluate", "--model", str(tmp_path / "tiny.safetensors"), *options]) == 1, "one file has no partner"
    summary = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (summary["images"], summary["unreadable"]) == (2, 1)
    assert summary["psnr_y"] > summary["bicubic_psnr_y"], "the tiny model repeats pixels"


@pytest.fixture
def set_of_two(tmp_path):
    """DIV2KRK's layout with both namings of HR files."""
    for folder in ("gt", "lr_x2", "gt_k_x2"):
        (tmp_path / folder).mkdir()
    for number, name in ((3, "im_3.png"), (12, "img_12_gt.png")):
        hr = np.full((41, 50, 3), number, np.uint8)
        hr[-1] = 255  # the row beyond twice the LR image's height, to be cropped
        Image.fromarray(hr).save(tmp_path / "gt" / name)
        Image.fromarray(np.full((20, 25, 3), 2 * number, np.uint8)).save(tmp_path / "lr_x2" / f"im_{number}.png")
        scipy.io.savemat(tmp_path / "gt_k_x2" / f"kernel_{number}.mat", {"Kernel": np.full((3, 3), float(number))})
    return tmp_path


def test_div2krk_is_paired_by_number(set_of_two):
    source = Div2krkSource(set_of_two, 2)
    assert source.names == ["im_3.png", "img_12_gt.png"]
    for index, number in enumerate((3, 12)):
        hr, lr, kernel = source.read(index)
        assert hr.shape == (40, 50, 3)
        assert np.all(hr == number)
        assert (lr.shape, lr[0, 0, 0]) == ((20, 25, 3), 2 * number)
        np.testing.assert_allclose(kernel, 1 / 9)


def test_div2krk_mistakes_are_named(set_of_two):
    (set_of_two / "gt_k_x2" / "kernel_3.mat").unlink()
    with pytest.raises(DataError, match="none of this name or number"):
        Div2krkSource(set_of_two, 2).read(0)
    Image.new("RGB", (24, 20)).save(set_of_two / "lr_x2" / "im_12.png")
    with pytest.raises(DataError, match=r"24x20 pixels times 2 is not the size of img_12_gt.png, 50x41"):
        Div2krkSource(set_of_two, 2).read(1)
    (set_of_two / "lr_x2" / "im_12.png").unlink()
    source = Div2krkSource(set_of_two, 2)
    assert source.names == ["im_3.png"]
    assert "img_12_gt.png: no file of this name or number" in source.left_out[0]
    Image.new("RGB", (8, 8)).save(set_of_two / "gt" / "x_3_hr.png")
    (line,) = [line for line in Div2krkSource(set_of_two, 2).left_out if "x_3_hr" in line]
    assert "no file of this name or number" in line
    Image.new("RGB", (8, 8)).save(set_of_two / "gt" / "im_3_gt.png")
    with pytest.raises(DataError, match="have the same name or number"):
        Div2krkSource(set_of_two, 2)
    with pytest.raises(DataError, match="lr_x4 is missing"):
        Div2krkSource(set_of_two, 4)


def test_a_set_without_kernels_is_usable(set_of_two):
    for path in (set_of_two / "gt_k_x2").iterdir():
        path.unlink()
    (set_of_two / "gt_k_x2").rmdir()
    assert Div2krkSource(set_of_two, 2).read(0).kernel is None
