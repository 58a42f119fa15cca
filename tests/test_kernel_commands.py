import numpy as np
import pytest
import scipy.io
from PIL import Image

from blindsr_jax.cli import main
from blindsr_jax.degradations import pools
from blindsr_jax.errors import DataError
from blindsr_jax.images.kernel_arrays import read_pool


def _kernels(*arguments):
    return main(["kernels", *map(str, arguments)])


def _mixed_sizes(path):
    """Three kernels of two sizes: a Dirac, a mean over five pixels squared, and a wide Dirac pair."""
    members = np.empty(3, object)
    members[0], members[1], members[2] = np.ones((1, 1)), np.full((5, 5), 1 / 25), np.pad(np.ones((1, 1)), 2)
    scipy.io.savemat(path, {"kernels": members})
    return path


def test_build_writes_what_the_function_draws(tmp_path, capsys):
    assert _kernels("build", "--scale", 2, "--count", 30, "--seed", 7, "-o", tmp_path / "all.npy") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "all.npy"), pools.kernel_pool(2, count=30, seed=7))
    assert "30 kernels of 17x17" in capsys.readouterr().out
    train, test = tmp_path / "train.npy", tmp_path / "deep" / "test.npy"
    assert _kernels("build", "--scale", 2, "--count", 30, "--seed", 7, "-o", train, "--test", test) == 0
    want = pools.split_pool(pools.kernel_pool(2, count=30, seed=7), seed=7)
    np.testing.assert_array_equal(np.load(train), want[0])
    np.testing.assert_array_equal(np.load(test), want[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.npy", "deep", "train.npy"]  # nothing half-written


def test_build_draws_shaken_ones_on_request(tmp_path):
    assert _kernels("build", "--scale", 2, "--count", 12, "--shaken", "-o", tmp_path / "pool.npy") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "pool.npy"), pools.shaken_pool(2, count=12))


def test_build_keeps_what_exists(tmp_path, capsys):
    (tmp_path / "pool.npy").write_text("precious")
    arguments = ["build", "--count", 2, "-o", tmp_path / "pool.npy"]
    assert _kernels(*arguments) == 2
    assert (tmp_path / "pool.npy").read_text() == "precious"
    assert "--overwrite" in capsys.readouterr().err
    assert _kernels(*arguments, "--overwrite", "--gaussians", "--size", 33) == 0
    assert read_pool(tmp_path / "pool.npy").shape == (2, 33, 33)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "-o", "pool.mat"], "ends in .npy"),
        (["build", "-o", "pool.npy", "--test", "pool.npy"], "file of their own"),
        (["build", "-o", "pool.npy", "--size", "24"], "odd size of at least 25"),
        (["build", "-o", "pool.npy", "--test", "test.npy", "--count", "1"], "parted in two"),
        (["show", "absent.npy", "-o", "sheet.png"], "no such file"),
        (["show", "mixed.mat", "-o", "sheet.jpg"], "ends in .png"),
        (["show", "mixed.mat", "-o", "sheet.png"], "1x1, 5x5"),
        (["summarise", "mixed.mat", "--size", "4"], "odd"),
        (["summarise", "mixed.mat", "--size", "3"], "64% of the weight"),
    ],
)
def test_mistakes_are_named(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    _mixed_sizes("mixed.mat")
    files = message in ("no such file", "1x1, 5x5", "64% of the weight")
    assert _kernels(*arguments) == (1 if files else 2)
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mixed.mat"]


def test_show_draws_each_kernel_once(tmp_path):
    pool = np.zeros((5, 3, 3), np.float32)
    pool[:, 1, 1] = 1
    np.save(tmp_path / "pool.npy", pool)
    assert _kernels("show", tmp_path / "pool.npy", "-o", tmp_path / "sheet.png") == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    assert (pixels == 255).sum() == 5 * 20 * 20  # blocks of 20 pixels
    assert pixels.shape == (2 * 64 + 4, 3 * 64 + 4)
    assert _kernels("show", tmp_path / "pool.npy", "-o", tmp_path / "one.png", "--count", 1) == 0
    with Image.open(tmp_path / "one.png") as sheet:
        assert sheet.size == (68, 68)


def test_summarise(tmp_path, capsys):
    train, test = tmp_path / "train.npy", tmp_path / "test.npy"
    assert _kernels("build", "--scale", 2, "--count", 50, "-o", train, "--test", test) == 0
    capsys.readouterr()
    assert _kernels("summarise", test, "--train", train) == 0
    lines = capsys.readouterr().out
    width = pools.best_gaussian(np.load(train))
    assert "10 of 17x17" in lines
    assert f"width {width:.2f} pixels, l1 {pools.l1_of_gaussian(np.load(test), width):.3f}" in lines


def test_a_pool_of_mixed_sizes_wants_a_size(tmp_path):
    path = _mixed_sizes(tmp_path / "mixed.mat")
    with pytest.raises(DataError, match="1x1, 5x5"):
        read_pool(path)
    pool = read_pool(path, 7)
    np.testing.assert_allclose(pool[0], np.pad(np.ones((1, 1)), 3))
    np.testing.assert_allclose(pool[1], np.pad(np.full((5, 5), 1 / 25), 1))
    np.testing.assert_allclose(pool[2], pool[0])
    with pytest.raises(DataError, match=r"64% of the weight of .*kernel 1 lies outside 3x3"):
        read_pool(path, 3)
    with pytest.raises(ValueError, match="odd"):
        read_pool(path, 4)


def test_a_pool_is_cropped_where_hardly_anything_is_lost(tmp_path):
    wide = np.zeros((1, 7, 7))
    wide[0, 3, 3], wide[0, 0, 0] = 0.995, 0.005
    np.save(tmp_path / "pool.npy", wide)
    np.testing.assert_allclose(read_pool(tmp_path / "pool.npy", 5)[0], np.pad(np.ones((1, 1)), 2))
    assert read_pool(tmp_path / "pool.npy").dtype == np.float32
