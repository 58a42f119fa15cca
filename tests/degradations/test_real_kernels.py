import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from blindsr_jax import degradations
from blindsr_jax.degradations.real_kernels import jinc

PACKAGED = pathlib.Path(__file__).parents[1] / "golden" / "real_degradations.npz"


@pytest.fixture(params=["packaged", "all"])
def golden(request):
    if request.param == "packaged":
        return np.load(PACKAGED)
    return np.load(request.getfixturevalue("reference") / "internal" / "real.npz")


def _sets(golden, name):
    return [key.split("/")[0] for key in golden.files if key.startswith(name) and key.endswith("/params")]


def _assert_near(kernel, wanted):
    np.testing.assert_allclose(kernel, wanted, atol=2e-6 * np.abs(wanted).max(), rtol=1e-5)


def test_golden_real_esrgan(golden):
    for name in _sets(golden, "kernel"):
        size, sigma_x, sigma_y, theta, beta_bell, beta_plateau = golden[f"{name}/params"]
        size = int(size)
        bell, flat = (
            jax.jit(make, static_argnums=4) for make in (degradations.generalized_gaussian, degradations.plateau)
        )
        _assert_near(degradations.anisotropic_gaussian(sigma_x, sigma_y, theta, size), golden[f"{name}/gaussian"])
        _assert_near(bell(sigma_x, sigma_y, theta, beta_bell, size), golden[f"{name}/generalized"])
        _assert_near(bell(sigma_x, sigma_x, theta, beta_bell, size), golden[f"{name}/generalized_iso"])
        _assert_near(flat(sigma_x, sigma_y, theta, beta_plateau, size), golden[f"{name}/plateau"])
        _assert_near(flat(sigma_x, sigma_x, theta, beta_plateau, size), golden[f"{name}/plateau_iso"])


def test_golden_sinc(golden):
    for name in _sets(golden, "sinc"):
        support, omega = golden[f"{name}/params"]
        kernel = jax.jit(degradations.crop_kernel)(degradations.sinc_kernel(omega, 21), int(support))
        _assert_near(kernel, golden[f"{name}/kernel"])


def test_golden_realdan(golden):
    sigma_x, sigma_y, theta, beta_bell, beta_plateau, radius = golden["realdan/params"].T
    kernels = {
        "gauss": degradations.generalized_gaussian(sigma_x, sigma_y, theta, beta_bell, 21, convention="realdan"),
        "plateau": degradations.plateau(sigma_x, sigma_y, theta, beta_plateau, 21, convention="realdan"),
        "sinc": degradations.sinc_kernel(golden["realdan/sinc_omega"], 21, radius="squared"),
    }
    for name, kernel in kernels.items():
        _assert_near(degradations.crop_kernel(kernel, 2 * radius + 1), golden[f"realdan/{name}"])


def test_golden_bsrgan(golden):
    for name in _sets(golden, "bsrgan"):
        size, theta, variance_1, variance_2, sigma = golden[f"{name}/params"]
        rotated = degradations.anisotropic_gaussian(variance_1**0.5, variance_2**0.5, theta, int(size))
        _assert_near(rotated, golden[f"{name}/aniso"])
        _assert_near(degradations.isotropic_gaussian(sigma, int(size)), golden[f"{name}/iso"])


def test_exponent_one_is_the_gaussian_and_its_rational_likeness():
    shape = (jnp.array([0.4, 2.0]), jnp.array([1.1, 3.0]), jnp.array([0.3, -1.0]))
    gaussian = degradations.anisotropic_gaussian(*shape, 15)
    np.testing.assert_allclose(degradations.generalized_gaussian(*shape, 1.0, 15), gaussian, atol=1e-7)
    plateau = degradations.plateau(*shape, 1.0, 15)
    seen = np.asarray(gaussian) > 1e-30  # where rounding leaves the distance to be told
    peaks = [np.broadcast_to(kernel[:, 7:8, 7:8], kernel.shape)[seen] for kernel in (gaussian, plateau)]
    distance = -2 * np.log(np.float64(gaussian)[seen] / peaks[0])
    np.testing.assert_allclose(np.asarray(plateau)[seen] / peaks[1], 1 / (1 + distance), rtol=1e-4)


@pytest.mark.parametrize("kind", ["generalized_gaussian", "plateau"])
def test_high_exponents_are_flat_within_the_width_and_steep_at_it(kind):
    kernel = np.asarray(getattr(degradations, kind)(4.5, 4.5, 0.0, 30.0, 21))
    away = np.hypot(*np.mgrid[-10:11, -10:11])
    inside = kernel[away < 3.9]
    np.testing.assert_allclose(inside, inside.mean(), rtol=1e-3)
    assert kernel[away > 5.5].max() < 1e-3 * inside.mean()


@pytest.mark.parametrize("kind", ["generalized_gaussian", "plateau"])
def test_is_a_symmetric_average_with_finite_gradients(kind):
    make = getattr(degradations, kind)
    kernel = make(2.0, 1.0, 0.5, jnp.array([0.5, 1.7]), 15)
    np.testing.assert_allclose(kernel.sum(axis=(1, 2)), 1, rtol=1e-5)
    np.testing.assert_allclose(kernel, kernel[:, ::-1, ::-1], atol=1e-7)
    np.testing.assert_allclose(make(0.0, 0.0, 0.0, 1.0, 5), degradations.dirac(5), atol=1e-5)
    gradient = jax.grad(lambda *shape: make(*shape, 5)[2, 2], argnums=(0, 1, 2, 3))(1.0, 2.0, 0.3, 0.6)
    assert np.isfinite(gradient).all()


def test_bessel_function():
    x = np.linspace(0, 640, 20_001, dtype=np.float32)
    np.testing.assert_allclose(x * jinc(jnp.asarray(x)), scipy.special.j1(np.float64(x)), atol=6e-7)
    assert jinc(jnp.float32(0)) == 0.5


def test_golden_bessel_function(reference):
    golden = np.load(reference / "internal" / "real.npz")
    x = np.float32(golden["j1/x"])
    np.testing.assert_allclose(x * jinc(jnp.asarray(x)), golden["j1/value"], atol=1e-6)


def test_sinc_passes_what_is_below_its_cutoff():
    omega = np.pi / 2
    kernel = np.asarray(degradations.sinc_kernel(omega, 61))
    np.testing.assert_allclose(kernel, np.rot90(kernel), atol=1e-6)
    response = np.abs(np.fft.fft2(kernel, (64, 64)))
    frequency = 2 * np.pi * np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64)))
    np.testing.assert_allclose(response[frequency < 0.8 * omega], 1, atol=0.07)
    assert response[frequency > 1.2 * omega].max() < 0.05


@pytest.mark.parametrize("radius", [0.8, 2.0, 4.3])
def test_disk_weighs_pixels_by_what_it_covers(radius):
    kernel = np.asarray(degradations.disk(radius, 13))
    fine = (np.arange(13 * 64) + 0.5) / 64 - 6.5
    inside = fine[:, None] ** 2 + fine**2 < radius**2
    covered = inside.reshape(13, 64, 13, 64).mean(axis=(1, 3))
    np.testing.assert_allclose(kernel, covered / covered.sum(), atol=0.01 * kernel.max())


def test_disks_within_one_pixel_are_dirac_and_radii_may_be_traced():
    kernels = jax.jit(lambda radius: degradations.disk(radius, 7))(jnp.array([0.0, 0.3, 0.5, 2.5]))
    for kernel in kernels[:3]:
        np.testing.assert_array_equal(kernel, degradations.dirac(7))
    np.testing.assert_allclose(kernels.sum(axis=(1, 2)), 1, rtol=1e-6)
    assert (kernels[3] > 0).sum() == 25 - 4 + 4 * 1  # all of the central 5×5, corners in part


def test_a_path_weighs_the_pixels_that_it_passes():
    along_row = jnp.stack([jnp.zeros(9), jnp.linspace(-2, 2, 9)], axis=1)
    kernel = np.asarray(degradations.path_kernel(along_row, 7))
    np.testing.assert_allclose(kernel[3], np.array([0, 1.5, 2, 2, 2, 1.5, 0]) / 9, atol=1e-6)
    assert kernel[[0, 1, 2, 4, 5, 6]].max() == 0
    moved = np.asarray(degradations.path_kernel(jnp.array([[[1.25, -0.5]]]), 7))
    assert moved.shape == (1, 7, 7)
    np.testing.assert_allclose(
        [(moved.sum(axis=2) @ np.arange(-3, 4))[0], (moved.sum(axis=1) @ np.arange(-3, 4))[0]], [1.25, -0.5]
    )


def test_crop_keeps_the_centre():
    kernels = jnp.ones((3, 7, 7)) / 49
    cut = jax.jit(degradations.crop_kernel)(kernels, jnp.array([1, 3, 7]))
    np.testing.assert_array_equal(cut[0], degradations.dirac(7))
    np.testing.assert_allclose(cut[1, 2:5, 2:5], 1 / 9, rtol=1e-6)
    np.testing.assert_allclose(cut.sum(axis=(1, 2)), 1, rtol=1e-6)
    assert (cut[1] > 0).sum() == 9
    np.testing.assert_allclose(cut[2], kernels[2], rtol=1e-6)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="odd"):
        degradations.disk(1.0, 4)
    with pytest.raises(ValueError, match="'basicsr', 'realdan'"):
        degradations.plateau(1.0, 1.0, 0.0, 1.0, 5, convention="dan")
    with pytest.raises(ValueError, match="'euclidean', 'squared'"):
        degradations.sinc_kernel(1.0, 5, radius="cubed")
