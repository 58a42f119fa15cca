"""Arguments of the public functions: wrong ones are refused where they are known, traced ones pass, types stay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import degradations, metrics, ops
from blindsr_jax.errors import BlindSRError

KEY = jax.random.key(0)


def _images(channels=3, size=(12, 8)):
    return np.random.default_rng(0).random((2, *size, channels), np.float32)


KERNELS = np.random.default_rng(1).random((2, 5, 5), np.float32)
KERNELS /= KERNELS.sum((1, 2), keepdims=True)
NOT_A_KERNEL = jnp.zeros((1, 3, 3)), -KERNELS, KERNELS * np.nan, np.ones((2, 3, 3), int), KERNELS[0]
OF_IMAGES = {
    "blur": lambda x: ops.blur(x, KERNELS),
    "circular_gradients": ops.circular_gradients,
    "data_solution": lambda x: ops.data_solution(x, ops.s_fold_down(x, 2), KERNELS, 0.1, 2),
    "gradient_solver": lambda x: ops.gradient_solver(x[..., :1], KERNELS)(x[..., :2], 0.3),
    "imresize": lambda x: ops.imresize(x, 0.5),
    "interpolate": lambda x: ops.interpolate(x, "bilinear", size=(5, 9)),
    "kernel_least_squares": lambda x: ops.kernel_least_squares(x, x, 1e-2, 5),
    "total_variation_denoise": lambda x: ops.total_variation_denoise(x, 0.1, 3),
    "wrap_smoothly": lambda x: ops.wrap_smoothly(x, 3),
    "add_awgn": lambda x: degradations.add_awgn(KEY, x, 0.1),
    "add_speckle": lambda x: degradations.add_speckle(KEY, x, 0.1),
    "jpeg": lambda x: degradations.jpeg(x, 50),
    "unsharp_mask": lambda x: degradations.unsharp_mask(x, 0.5, radius=1.0),
    "degrade": lambda x: degradations.degrade(KEY, x, scale=2, steps="downsample('s_fold')").lr,
    "apply_degradation": lambda x: degradations.apply_degradation(x, KERNELS, scale=2),
}
OF_NUMBERS = {
    "isotropic_gaussian": lambda x: degradations.isotropic_gaussian(x, 5),
    "anisotropic_gaussian": lambda x: degradations.anisotropic_gaussian(x, 2 * x, x, 5),
    "generalized_gaussian": lambda x: degradations.generalized_gaussian(x, 2 * x, x, x, 5),
    "plateau": lambda x: degradations.plateau(x, 2 * x, x, x, 5),
    "sinc_kernel": lambda x: degradations.sinc_kernel(x, 5),
    "disk": lambda x: degradations.disk(x, 5),
}


@pytest.fixture
def x64():
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_images_are_checked(name):
    x = _images()
    spoiled = x.copy()
    spoiled[0, 0, 0, 0] = np.nan
    for wrong in (np.uint8(255 * x), spoiled, x[0]):
        with pytest.raises(BlindSRError):
            OF_IMAGES[name](wrong)


@pytest.mark.parametrize("name", sorted(set(OF_IMAGES) - {"add_awgn", "add_speckle", "jpeg"}))
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_images(name, dtype):
    x = _images()
    call = jax.jit(OF_IMAGES[name])
    got, want = call(jnp.asarray(x, dtype)), call(x)
    tolerance = 16 * float(jnp.finfo(dtype).eps) * np.abs(want).max()
    np.testing.assert_allclose(np.float32(got), want, atol=tolerance)


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_widths_of_kernels(name):
    make, widths = OF_NUMBERS[name], np.float32([0.7, 1.3])
    want = make(widths)
    np.testing.assert_allclose(jax.jit(make)(widths), want, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(make)(widths), want, atol=1e-6)
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(BlindSRError):
            make(bad)
    slope = jax.jit(jax.grad(lambda x: jnp.square(make(x)).sum()))(jnp.asarray(widths))
    assert np.isfinite(slope).all() and np.abs(slope).max() > 0


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_kernels_have_the_precision_of_their_widths(name, x64):
    for dtype in (np.float32, np.float64):
        assert jax.eval_shape(OF_NUMBERS[name], jax.ShapeDtypeStruct((2,), dtype)).dtype == dtype


def test_traced_values_pass():
    for x in (jnp.full((2, 12, 8, 3), jnp.nan), jnp.full((2, 12, 8, 3), 9.0)):
        assert jax.jit(OF_IMAGES["blur"])(x).shape == x.shape
    blurred = jax.jit(ops.blur)(_images(), jnp.zeros((1, 3, 3)))
    np.testing.assert_array_equal(blurred, 0)
    solve = jax.jit(lambda lam: ops.kernel_least_squares(_images(), _images(), lam, 5))
    np.testing.assert_allclose(solve(1e-2), ops.kernel_least_squares(_images(), _images(), 1e-2, 5), atol=1e-5)


@pytest.mark.parametrize("kernel", NOT_A_KERNEL)
def test_kernels_are_checked(kernel):
    for call in (
        lambda: ops.blur(_images(), kernel),
        lambda: ops.data_solution(_images(), ops.s_fold_down(_images(), 2), kernel, 0.1, 2),
        lambda: degradations.apply_degradation(_images(), kernel, scale=2),
    ):
        with pytest.raises(BlindSRError, match="kernel"):
            call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.data_solution(_images(), ops.s_fold_down(_images(), 2), KERNELS, 0.0, 2),
        lambda: ops.total_variation_denoise(_images(), -0.1),
        lambda: degradations.add_awgn(KEY, _images(), np.float32([0.1, 0.1, 0.1])),
        lambda: degradations.add_poisson(KEY, _images(), -1.0),
        lambda: degradations.add_correlated(KEY, _images(4), 0.1),
        lambda: degradations.crop_kernel(KERNELS, 0),
        lambda: degradations.sample_isotropic(KEY, 2, size=5, sigma=(3.0, 1.0)),
        lambda: degradations.encode(KERNELS, np.zeros((49, 3), np.float32)),
        lambda: degradations.decode(np.zeros((2, 4), np.float32), np.zeros((49, 3), np.float32)),
        lambda: degradations.pca_basis(KERNELS * np.nan, 1),
        lambda: metrics.kernel_l1(KERNELS, KERNELS),
        lambda: metrics.kernel_psnr(KERNELS[0] * np.nan, KERNELS[0]),
        lambda: metrics.code_l1(np.zeros(3), np.zeros((2, 3))),
    ],
)
def test_other_arguments_are_checked(call):
    with pytest.raises(BlindSRError):
        call()


def test_scores_of_jax_arrays_are_those_of_numpy():
    a, b = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    for score in (metrics.psnr, metrics.ssim):
        assert score(jnp.asarray(a), jnp.asarray(b), 2) == score(a, b, 2)
