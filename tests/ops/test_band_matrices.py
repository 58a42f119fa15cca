import jax
import numpy as np
import pytest
import scipy.ndimage

from blindsr_jax.ops.band_matrices import correlate_by_bands


def _random(*shape, seed=0):
    return jax.random.uniform(jax.random.key(seed), shape)


@pytest.mark.parametrize("kernels", [1, 2])
@pytest.mark.parametrize("width", [9, 128, 150, 257])  # within a block, a block, and more
def test_equals_a_direct_correlation(width, kernels):
    x, kernel = _random(2, 11, width, 3), _random(kernels, 5, 5, seed=1)
    got = correlate_by_bands(x, kernel)
    assert got.shape == (2, 7, width - 4, 3)
    for image in range(2):
        for channel in range(3):
            want = scipy.ndimage.correlate(np.float64(x[image, ..., channel]), np.float64(kernel[image % kernels]))
            np.testing.assert_allclose(got[image, ..., channel], want[2:-2, 2:-2], atol=3e-6)


def test_gradient_is_the_adjoint():
    x, kernel, y = _random(1, 12, 140, 1), _random(1, 5, 5, seed=1), _random(1, 8, 136, 1, seed=2)
    result, pull = jax.vjp(correlate_by_bands, x, kernel)
    to_x, to_kernel = pull(y)
    np.testing.assert_allclose((to_x * x).sum(), (y * result).sum(), rtol=1e-5)
    np.testing.assert_allclose((to_kernel * kernel).sum(), (y * result).sum(), rtol=1e-5)
