import numpy as np
import pytest
import scipy.io

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
