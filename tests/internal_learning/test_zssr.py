"""ZSSR: its network in windows, its training, and pictures that are hard to learn from."""

import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.errors import DataError
from blindsr_jax.internal_learning import zssr, zssr_step
from blindsr_jax.internal_learning.learning_rates import ErrorLine, annealed
from blindsr_jax.internal_learning.resampling import Sampling
from blindsr_jax.internal_learning.zssr import ZSSROptions

_KERNEL = np.outer([0.25, 0.5, 0.25], [0.1, 0.6, 0.3])
_QUICK = ZSSROptions(steps=2)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Small fathers and windows."""
    monkeypatch.setattr(zssr, "_SIDE", 32)
    monkeypatch.setattr(zssr, "_WINDOW", 32)


@pytest.fixture
def image(photo):
    return photo[:48, :64] / np.float32(255)


def test_a_network_in_windows_is_that_of_the_whole_picture():
    rng = np.random.default_rng(0)
    filters, picture = zssr_step.init_filters(rng), rng.random((50, 41, 3), np.float32)
    filters = (*filters[:-1], 100 * filters[-1])
    found, whole = zssr.applied(filters, picture), zssr_step.network(filters, jnp.asarray(picture))
    assert np.abs(whole - picture).max() > 0.3
    np.testing.assert_allclose(found, whole, atol=1e-5 * np.abs(whole).max())


def test_training_finds_more_than_interpolation_and_back_projection(image):
    sampling = Sampling(_KERNEL, 2)
    lr = sampling.degrade(image)
    filters = zssr.train(lr, sampling, ZSSROptions(steps=60))
    enlarged = sampling.enlarge(lr)
    learned = np.clip(zssr.applied(filters, enlarged), 0, 1)
    errors = [np.square(one - image)[4:-4, 4:-4].mean() for one in (enlarged, learned)]
    assert errors[1] < 0.93 * errors[0]


def test_back_projection_brings_the_result_to_the_picture(image):
    sampling = Sampling(_KERNEL, 2)
    lr = sampling.degrade(image)
    errors = [np.abs(sampling.degrade(sampling.back_project(sampling.enlarge(lr), lr, n)) - lr).mean() for n in (0, 4)]
    assert errors[1] < errors[0] / 4
    exact = zssr.restore(lr, _KERNEL, 2, _QUICK)
    real = zssr.restore(lr, _KERNEL, 2, ZSSROptions(steps=2, real=True))
    assert np.abs(sampling.degrade(exact) - lr).mean() < np.abs(sampling.degrade(real) - lr).mean() / 4


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("centre", [0, 1])
def test_a_pixel_is_interpolated_where_the_kernel_has_its_centre(scale, centre):
    offset = centre * (scale - 1) // 2
    kernel = np.zeros((7, 7))
    kernel[3 + offset, 3] = 1
    ramp = np.broadcast_to(np.arange(20.0)[:, None, None], (20, 20, 3))
    enlarged = Sampling(kernel, scale).enlarge(ramp)
    middle = np.arange(5 * scale, 15 * scale)
    np.testing.assert_allclose(enlarged[middle, 5 * scale, 0], (middle - offset) / scale, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_hostile_pictures_have_an_answer(scale, photo):
    flat, small = np.full((16, 16, 3), 0.25, np.float32), photo[:9, :11] / np.float32(255)
    for picture in (flat, small):
        sr = zssr.restore(picture, _KERNEL, scale, ZSSROptions(steps=1))
        assert sr.shape == (scale * picture.shape[0], scale * picture.shape[1], 3)
        assert np.isfinite(sr).all() and sr.min() >= 0 and sr.max() <= 1
        if picture is flat:
            np.testing.assert_allclose(sr, 0.25, atol=0.1)


def test_a_picture_of_one_pixel_has_an_answer_and_one_smaller_than_its_kernel_is_refused_at_once(photo):
    assert zssr.restore(photo[:1, :1] / np.float32(255), _KERNEL, 4, ZSSROptions(steps=1)).shape == (4, 4, 3)
    for picture, options in ((photo[:1], ZSSROptions()), (photo[:3], ZSSROptions(policy="published"))):
        with pytest.raises(DataError, match=r"ZSSR: a picture of \d+x[13] pixels is too small for a kernel"):
            zssr.restore(picture / np.float32(255), _KERNEL, 2, options)


def test_the_median_of_the_eight_orientations_is_close_to_one(image):
    one, median = (zssr.restore(image[:20, :16], _KERNEL, 2, ZSSROptions(steps=1, ensemble=on)) for on in (False, True))
    assert 0 < np.abs(one - median).max() < 0.05


def test_time_ends_the_training_and_lowers_the_rate(image):
    looks = []
    zssr.restore(image, _KERNEL, 2, ZSSROptions(steps=5000, seconds=0.5), watch=looks.append)
    assert looks[-1].step < 500 and looks[0].task == "ZSSR" and looks[0].steps == 5000
    rates = [annealed(progress) for progress in (0, 0.5, 1, 7)]
    np.testing.assert_allclose(rates, [1e-3, 5.05e-4, 1e-5, 1e-5])


@pytest.mark.parametrize(("policy", "reduces"), [("published", True), ("numpy_1_16", False)])
def test_the_published_policy_depends_on_numpys_version(policy, reduces):
    line = ErrorLine(policy)
    for step, error in zip(range(50, 300, 50), (5.38, 4.79, 5.2, 4.61, 5.02)):
        line.add(step, error)
    line.look(239)  # not more than 256 iterations after the last change
    assert line.rate == 1e-3
    line.look(298)  # no multiple of 60
    assert line.rate == 1e-3
    line.look(299)
    assert (line.rate < 1e-3) == reduces
    for step in (599, 899):
        line.look(step)
    assert line.ended == reduces


def test_a_moved_kernel_is_that_of_the_public_code(image):
    results = [zssr.restore(image, _KERNEL, 2, ZSSROptions(steps=2, moves_kernel=on)) for on in (False, True)]
    assert np.abs(results[0] - results[1]).max() > 0.05
