import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import degradations


def _moments(kernel):
    """Mean and covariance in (x, y) = (column, row), computed in float64."""
    kernel = np.float64(kernel)
    axis = np.arange(kernel.shape[-1]) - kernel.shape[-1] // 2
    x, y = np.meshgrid(axis, axis)
    points = np.stack([x.ravel(), y.ravel()])
    weights = kernel.ravel()
    mean = points @ weights
    centred = points - mean[:, None]
    return mean, (centred * weights) @ centred.T


@pytest.mark.parametrize("size", [21, 11])
def test_golden(reference, size):
    golden = np.load(reference / "kernels.npz")
    got = degradations.isotropic_gaussian(golden[f"iso{size}_sigma"], size)
    np.testing.assert_allclose(got, golden[f"iso{size}_kernel"], atol=2e-6)
    angle = [golden[f"aniso{size}_{name}"] for name in ("sigma_x", "sigma_y", "theta")]
    got = degradations.anisotropic_gaussian(*angle, size, noise=golden[f"aniso{size}_noise"])
    np.testing.assert_allclose(got, golden[f"aniso{size}_kernel"], atol=2e-6)


@pytest.mark.parametrize("sigma", [0.2, 0.8, 2.4, 4.0])
def test_isotropic_is_a_symmetric_average(sigma):
    kernel = np.asarray(degradations.isotropic_gaussian(sigma, 21))
    assert kernel.min() >= 0
    np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(kernel, kernel.T, rtol=1e-5)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], rtol=1e-5)


def test_width_is_the_standard_deviation_and_zero_is_dirac():
    mean, covariance = _moments(degradations.isotropic_gaussian(1.7, 31))
    np.testing.assert_allclose(mean, 0, atol=1e-6)
    np.testing.assert_allclose(covariance, 1.7**2 * np.eye(2), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(degradations.isotropic_gaussian(0.0, 7), degradations.dirac(7))


@pytest.mark.parametrize("theta", [0.0, 0.5, -1.2, np.pi / 2])
def test_anisotropic_has_the_covariance_asked_for(theta):
    rotation = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    want = rotation @ np.diag([3.0**2, 1.5**2]) @ rotation.T
    _, covariance = _moments(degradations.anisotropic_gaussian(3.0, 1.5, theta, 41))
    np.testing.assert_allclose(covariance, want, rtol=1e-3, atol=1e-3)


def test_a_quarter_turn_turns_the_kernel():
    straight = degradations.anisotropic_gaussian(3.0, 1.0, 0.3, 21)
    turned = degradations.anisotropic_gaussian(3.0, 1.0, 0.3 + np.pi / 2, 21)
    np.testing.assert_allclose(turned, np.rot90(straight, -1), atol=1e-6)  # towards +y, downwards


def test_equal_widths_need_no_angle():
    round_one = degradations.anisotropic_gaussian(2.0, 2.0, 0.7, 21)
    np.testing.assert_allclose(round_one, degradations.isotropic_gaussian(2.0, 21), atol=1e-7)


def test_draws_cover_their_ranges():
    key = jax.random.key(0)
    widths = [_moments(k)[1][0, 0] ** 0.5 for k in degradations.sample_isotropic(key, 200, size=31, sigma=(1.0, 3.0))]
    assert 0.99 < min(widths) < 1.1
    assert 2.8 < max(widths) < 3.01


def test_isotropic_rate_makes_that_share_round():
    """The public code's option has no effect on a mixed batch; ours must."""
    draw = {"size": 31, "sigma": (0.8, 3.0), "multiplicative_noise": 0.0}
    for rate, low, high in [(0.0, 0.0, 0.05), (0.5, 0.35, 0.65), (1.0, 1.0, 1.0)]:
        kernels = degradations.sample_anisotropic(jax.random.key(1), 100, isotropic_rate=rate, **draw)
        is_round = [np.allclose(k, np.rot90(k), atol=1e-4) for k in np.asarray(kernels)]
        assert low <= np.mean(is_round) <= high


def test_multiplicative_noise_stays_within_its_bound():
    clean, noisy = (
        np.asarray(degradations.sample_anisotropic(jax.random.key(2), 8, size=11, multiplicative_noise=n))
        for n in (0.0, 0.25)
    )
    ratio = noisy / clean
    spread = ratio.max(axis=(1, 2)) / ratio.min(axis=(1, 2))  # the normalisation, one number a kernel, cancels
    assert spread.max() <= 1.2501
    assert spread.min() > 1.2
    np.testing.assert_allclose(noisy.sum(axis=(1, 2)), 1, rtol=1e-5)


@pytest.mark.parametrize("size", [0, 4, -3])
def test_size_must_be_odd(size):
    with pytest.raises(ValueError, match="odd"):
        degradations.isotropic_gaussian(1.0, size)


def test_normalize_kernel():
    kernel = degradations.normalize_kernel(jnp.asarray([[[-1.0, 1.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, -1.0]]]))
    np.testing.assert_allclose(kernel[0], [[0, 0.25], [0.5, 0.25]])
    assert np.all(kernel[1] == 0)
