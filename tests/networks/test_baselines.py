"""The two baselines of KernelNet, which have no parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import degradations, metrics, ops
from blindsr_jax.degradations import pools
from blindsr_jax.errors import ConfigError
from blindsr_jax.networks import build
from blindsr_jax.networks.fixed_gaussian import GAUSSIAN_WIDTHS
from blindsr_jax.networks.model_based import alternate, placed, pyramid, sparse_gradients, without_noise
from tests.conftest import drilled


def _kernel_of(network, lr):
    return np.asarray(jax.jit(lambda lr: network.apply({}, lr).kernel)(lr))


def _edges(side=256, seed=0):
    """Draw overlapping rectangles and discs of many grey levels: [side, side, 3]."""
    rng = np.random.default_rng(seed)
    picture, (rows, columns) = np.full((side, side), 0.5, np.float32), np.mgrid[:side, :side]
    for _ in range(60):
        row, column, height, width = rng.uniform(0, side, 2).tolist() + rng.uniform(8, side / 4, 2).tolist()
        inside = (np.abs(rows - row) < height / 2) & (np.abs(columns - column) < width / 2)
        if rng.random() < 0.5:
            inside = np.hypot(rows - row, columns - column) < height / 2
        picture[inside] = rng.uniform(0.05, 0.95)
    return np.repeat(picture[:, :, None], 3, axis=2)


def _comma(width, size):
    """Return a centred blob with a tail, which no flip, rotation or transposition maps to itself."""
    rows, columns = np.mgrid[:size, :size] - size // 2
    points = [(-1.0, -0.9, 1.0), (-0.8, 0.3, 0.9), (-0.1, 1.2, 0.7), (1.1, 1.4, 0.5)]
    blobs = [
        weight * np.exp(-((rows / width - row) ** 2 + (columns / width - column) ** 2) / 0.9)
        for row, column, weight in points
    ]
    kernel = np.maximum(degradations.move_kernel(sum(blobs)), 0)
    return np.float32(kernel / kernel.sum())


def _lr(hr, kernel, scale):
    options = {"scale": scale, "downsample": "s_fold", "blur_mode": "circular"}
    return ops.round_to_8bit(degradations.apply_degradation(jnp.asarray(hr)[None], kernel[None], **options))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_fixed_gaussian_is_the_pools_best(scale):
    train, _ = pools.split_pool(pools.kernel_pool(scale))
    assert abs(pools.best_gaussian(train) - GAUSSIAN_WIDTHS[scale]) < 0.01
    kernels = _kernel_of(build("fixed_gaussian", scale=scale), jax.random.uniform(jax.random.key(0), (2, 6, 9, 3)))
    gaussian = degradations.isotropic_gaussian(GAUSSIAN_WIDTHS[scale], pools.POOL_SIZES[scale])
    np.testing.assert_allclose(kernels, np.stack([gaussian] * 2), rtol=1e-6)


@pytest.mark.parametrize(("scale", "width"), [(2, 1.4), drilled(4, 2.8)])
def test_deblurring_finds_an_asymmetric_kernel(scale, width):
    """The error is below half that of the best Gaussian; interpolation and rounding hide the finest details."""
    size = pools.POOL_SIZES[scale]
    kernel = _comma(width, size)
    found = _kernel_of(build("model_based", scale=scale), _lr(_edges(128 * scale), kernel, scale))[0]
    assert found.shape == (size, size) and found.min() >= 0
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-5)
    assert pools.moments(found[None]).offset[0] < 0.1
    error = metrics.kernel_l1(found, kernel)
    assert error < 0.5 * pools.l1_of_gaussian(kernel[None], pools.best_gaussian(kernel[None]))
    assert error < 0.2 * metrics.kernel_l1(degradations.dirac(size), kernel)
    turned = [np.rot90(kernel, n) for n in range(4)]
    for other in [*turned[1:], *(turn.T for turn in turned)]:
        assert error < 0.7 * metrics.kernel_l1(found, other), "the estimate is flipped, rotated or transposed"


def test_every_image_of_a_batch_is_deblurred_alone():
    """Rounding of gradients near the threshold changes weights by thousandths."""
    network, kernels = build("model_based", scale=2), (_comma(1.4, 17), _comma(1.8, 17)[::-1])
    lr = jnp.concatenate([_lr(_edges(96, seed), kernel, 2) for seed, kernel in enumerate(kernels)])
    together = _kernel_of(network, lr)
    for i in range(2):
        np.testing.assert_allclose(together[i], _kernel_of(network, lr[i : i + 1])[0], atol=5e-3)
    assert np.abs(together[0] - together[1]).max() > 0.02


@pytest.mark.parametrize("shape", [(2, 20, 24, 3), (1, 1, 3, 3)])
def test_where_nothing_can_be_told_the_answer_is_the_gaussian(shape):
    found = _kernel_of(build("model_based", scale=2), jnp.full(shape, 0.4))
    assert found.min() >= 0
    gaussian = degradations.isotropic_gaussian(GAUSSIAN_WIDTHS[2], 17)
    for kernel in found:
        assert metrics.kernel_l1(kernel, gaussian) < 0.15, "more than the pyramid's resampling changes"


def test_only_the_window_of_a_large_image_is_looked_at():
    lr = jax.random.uniform(jax.random.key(0), (1, 514, 4, 3))
    network = build("model_based", scale=2, kernel_size=9)
    np.testing.assert_array_equal(_kernel_of(network, lr), _kernel_of(network, lr[:, 1:513]))


def test_sparse_gradients_are_those_of_the_sharp_image():
    """Deblurring with the true kernel returns steps at their positions, and zero between them."""
    x = jnp.zeros((1, 32, 40, 1)).at[:, :, 10:30].set(0.6).at[:, :, 16:].add(0.2)
    kernel = degradations.isotropic_gaussian(1.5, 13)[None]
    found = sparse_gradients(ops.blur(x, kernel, "circular"), kernel)
    np.testing.assert_allclose(found, ops.circular_gradients(x), atol=0.1)
    assert (found != 0).mean() < 0.07


def test_the_extension_of_an_image_tells_nothing():
    x = jax.random.uniform(jax.random.key(0), (1, 40, 40, 1))
    start, sizes = degradations.isotropic_gaussian(1.0, 9)[None], [30, 32]
    blurred = ops.blur(x, start, "circular")
    kernel = alternate(blurred, start, sizes, 1e-5)
    assert np.abs(kernel - alternate(blurred, start, [40, 40], 1e-5)).max() > 1e-4
    assert kernel.shape == (1, 9, 9)


def test_noise_is_what_is_faint_or_alone():
    kernel = np.zeros((1, 9, 9), np.float32)
    kernel[0, 2:5, 2:5] = 1.0
    kernel[0, 5, 5] = 0.5  # touches at its corner
    kernel[0, 4, 5] = 0.03  # faint
    kernel[0, 8, 8] = 0.5  # an island of 5 %
    want = kernel.copy()
    want[0, 8, 8] = want[0, 4, 5] = 0
    np.testing.assert_allclose(without_noise(jnp.asarray(kernel)), want / want.sum(), rtol=1e-5)
    kernel[0, 7:, 7:] = 0.5  # a larger island
    assert without_noise(jnp.asarray(kernel))[0, 8, 8] > 0
    np.testing.assert_array_equal(without_noise(jnp.zeros((1, 5, 5))), 0)


def test_kernels_are_placed_on_their_centre_of_mass():
    kernel = np.zeros((1, 15, 15), np.float32)
    kernel[0, 3:14, 2:13] = degradations.isotropic_gaussian(1.8, 11)  # one row too low: its centre is (8, 7)
    np.testing.assert_allclose(placed(jnp.asarray(kernel), 11)[0], kernel[0, 3:14, 2:13], atol=1e-4)
    half = np.float32(degradations.move_kernel(kernel[0], 0.5))[None]
    np.testing.assert_allclose(placed(jnp.asarray(half), 11)[0], kernel[0, 3:14, 2:13], atol=2e-3)
    larger = placed(jnp.asarray(kernel), 21, 1.5)
    np.testing.assert_allclose(pools.moments(larger).wide, 1.5 * pools.moments(kernel).wide, rtol=0.02)
    np.testing.assert_array_equal(placed(jnp.zeros((1, 5, 5)), 7, 1.4), 0)


def test_the_pyramid_ends_at_nine_pixels():
    assert [pyramid(size) for size in (5, 9, 17, 31)] == [[5], [9], [17, 13, 9], [31, 21, 15, 11]]


def test_sizes_are_checked():
    for name in ("fixed_gaussian", "model_based"):
        with pytest.raises(ConfigError, match=r"scale of model .* must be 2, 3, 4, not 5"):
            build(name, scale=5)
        with pytest.raises(ConfigError, match="must be odd"):
            build(name, scale=2, kernel_size=4)
