import numpy as np
import pytest
import scipy.io
from PIL import Image

from blindsr_jax.data.div2krk import Div2krkSource
from blindsr_jax.errors import DataError
from blindsr_jax.images.kernel_arrays import read_kernel, read_kernels

RNG = np.random.default_rng(0)


def test_every_layout_gives_the_same_kernels(tmp_path):
    kernels = RNG.uniform(size=(4, 5, 5))
    cell = np.empty((1, 4), object)
    for i in range(4):
        cell[0, i] = kernels[i]
    np.save(tmp_path / "a.npy", kernels)
    scipy.io.savemat(tmp_path / "b.mat", {"anything": kernels})
    scipy.io.savemat(tmp_path / "c.mat", {"kernels": np.moveaxis(kernels, 0, -1), "other": 3})
    scipy.io.savemat(tmp_path / "d.mat", {"kernels": cell})
    for name in ("a.npy", "b.mat", "c.mat", "d.mat"):
        np.testing.assert_allclose(
            read_kernels(tmp_path / name), kernels / kernels.sum(axis=(1, 2), keepdims=True), err_msg=name
        )


def test_kernels_of_a_cell_may_differ_in_size(tmp_path):
    cell = np.empty((2, 1), object)
    cell[:, 0] = [np.ones((3, 3)), np.ones((7, 7))]
    scipy.io.savemat(tmp_path / "k.mat", {"kernels": cell})
    assert [kernel.shape for kernel in read_kernels(tmp_path / "k.mat")] == [(3, 3), (7, 7)]
    with pytest.raises(DataError, match=r"one kernel .* holds 2"):
        read_kernel(tmp_path / "k.mat")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((4, 4)), "odd side"),
        (np.ones((3, 5)), "odd side"),
        (np.ones((2, 3, 5)), r"\[N, K, K\]"),
        (np.full((3, 3), np.nan), "finite"),
        (-np.ones((3, 3)), "positive sum"),
        (np.ones((3, 3), complex), "of numbers"),
        (np.ones((0, 3, 3)), "no kernel"),
    ],
)
def test_what_is_no_kernel_is_named(tmp_path, array, message):
    np.save(tmp_path / "k.npy", array)
    with pytest.raises(DataError, match=message):
        read_kernels(tmp_path / "k.npy")


def test_damaged_and_hostile_files_are_refused(tmp_path):
    np.save(tmp_path / "pickle.npy", np.array([{"a": 1}], object), allow_pickle=True)
    scipy.io.savemat(tmp_path / "good.mat", {"Kernel": np.ones((3, 3))})
    whole = (tmp_path / "good.mat").read_bytes()
    (tmp_path / "short.mat").write_bytes(whole[:-20])
    (tmp_path / "text.mat").write_text("no matrix")
    scipy.io.savemat(tmp_path / "two.mat", {"a": np.ones((3, 3)), "b": np.ones((3, 3))})
    for name in ("pickle.npy", "short.mat", "text.mat", "two.mat", "absent.mat", "absent.npy"):
        with pytest.raises(DataError, match=name):
            read_kernels(tmp_path / name)


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
    with pytest.raises(DataError, match="no kernel of number 3"):
        Div2krkSource(set_of_two, 2).read(0)
    Image.new("RGB", (24, 20)).save(set_of_two / "lr_x2" / "im_12.png")
    with pytest.raises(DataError, match=r"24x20 pixels times 2 is not the size of img_12_gt.png, 50x41"):
        Div2krkSource(set_of_two, 2).read(1)
    (set_of_two / "lr_x2" / "im_12.png").unlink()
    source = Div2krkSource(set_of_two, 2)
    assert source.names == ["im_3.png"]
    assert "no file of number 12" in source.left_out[0]
    Image.new("RGB", (8, 8)).save(set_of_two / "gt" / "x3.png")
    with pytest.raises(DataError, match="same number 3"):
        Div2krkSource(set_of_two, 2)
    with pytest.raises(DataError, match="lr_x4 is missing"):
        Div2krkSource(set_of_two, 4)


def test_a_set_without_kernels_is_usable(set_of_two):
    for path in (set_of_two / "gt_k_x2").iterdir():
        path.unlink()
    (set_of_two / "gt_k_x2").rmdir()
    assert Div2krkSource(set_of_two, 2).read(0).kernel is None
