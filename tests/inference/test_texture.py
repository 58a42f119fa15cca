import jax
import numpy as np
import pytest

from blindsr_jax.errors import DataError
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.texture import most_textured
from blindsr_jax.networks import build, init_variables


def _noise(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


def test_the_window_holds_the_texture():
    images = np.full((2, 64, 80, 3), 0.5, np.float32)
    images[0, 40:56, 8:24] = images[1, 0:16, 64:80] = _noise(16, 16, 3)
    found = most_textured(images, 16)
    np.testing.assert_array_equal(found[0], images[0, 40:56, 8:24])
    np.testing.assert_array_equal(found[1], images[1, :16, 64:])


def test_stripes_are_no_texture():
    """Edges reveal nothing about the blur along them, however strong they are."""
    image = np.full((1, 64, 64, 1), 0.5, np.float32)
    image[0, :, :32:2] = 1
    image[0, 40:56, 40:56] += 0.05 * _noise(16, 16, 1)
    np.testing.assert_array_equal(most_textured(image, 16)[0], image[0, 40:56, 40:56])


@pytest.mark.parametrize(("size", "window"), [((20, 70), (20, 32)), ((70, 20), (32, 20)), ((9, 9), (9, 9))])
def test_small_images_stay_whole(size, window):
    assert most_textured(_noise(1, *size, 3), 32).shape == (1, *window, 3)


@pytest.fixture(scope="module")
def estimator():
    network = build("kernelnet", scale=2, width=8)
    return Model(network, init_variables(network, jax.random.key(0, impl="rbg")))


def test_a_model_looks_at_its_window_alone(estimator):
    lr = _noise(1, 48, 64, 3) * 0.1
    lr[0, 16:32, 24:40] *= 10
    windowed = estimator.with_kernel_window(16)
    np.testing.assert_allclose(windowed(lr).kernel, estimator(lr[:, 16:32, 24:40]).kernel, atol=1e-7)
    assert np.abs(np.asarray(windowed(lr).kernel - estimator(lr).kernel)).max() > 1e-5
    assert windowed.fingerprint != estimator.fingerprint != estimator.with_kernel_window(24).fingerprint
    assert estimator.kernel_window is None


def test_what_cannot_look_through_a_window_says_so(estimator, model):
    with pytest.raises(DataError, match="needs it whole"):
        model.with_kernel_window(64)
    with pytest.raises(DataError, match="16 or more"):
        estimator.with_kernel_window(15)
