"""The fast gradient of a convolution equals XLA's gradient."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from blindsr_jax.ops.convolution import convolve, depthwise

AROUND = ((1, 1), (1, 1))


def _plain(x, kernel, padding, stride=1):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _given(batch, size, channels, features, window, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (batch, *size, channels), dtype)
    return x, jax.random.normal(keys[1], (window, window, channels, features), dtype)


def _gradients(convolution, x, kernel, padding):
    y, pull = jax.vjp(lambda x, kernel: convolution(x, kernel, padding), x, kernel)
    weights = jax.random.normal(jax.random.key(1), y.shape)
    return y, *pull(weights.astype(y.dtype))


@pytest.mark.parametrize(
    ("batch", "size", "channels", "features", "window", "padding"),
    [
        (2, (12, 10), 64, 74, 3, AROUND),
        (2, (12, 10), 74, 64, 3, AROUND),  # patches are gathered from the gradient instead of the input
        (1, (13, 9), 33, 35, 3, AROUND),
        (2, (11, 12), 64, 48, 5, ((2, 2), (2, 2))),
        (1, (10, 9), 48, 70, 3, ((1, 0), (1, 1))),  # as in the border strips of Upsampler
        (1, (9, 10), 70, 48, 3, ((1, 1), (0, 1))),
        (2, (9, 9), 128, 40, 1, ((0, 0), (0, 0))),
        (1, (37, 300), 32, 48, 3, AROUND),  # prime height, so chunks of one row
        (1, (6, 1100), 48, 32, 3, AROUND),  # a row exceeds a chunk
    ],
)
def test_result_and_gradients_are_those_of_a_plain_convolution(batch, size, channels, features, window, padding):
    x, kernel = _given(batch, size, channels, features, window)
    ours, plain = (jax.jit(_gradients, static_argnums=(0, 3))(f, x, kernel, padding) for f in (convolve, _plain))
    for got, want in zip(ours, plain):
        np.testing.assert_allclose(got, want, atol=2e-6 * float(jnp.abs(want).max()), rtol=1e-4)


def test_strides_and_few_channels():
    x, kernel = _given(2, (12, 12), 3, 32, 9)
    np.testing.assert_array_equal(convolve(x, kernel, ((4, 4), (4, 4)), 4), _plain(x, kernel, ((4, 4), (4, 4)), 4))
    x, kernel = _given(2, (9, 9), 64, 64, 3)
    np.testing.assert_array_equal(convolve(x, kernel, AROUND, 2), _plain(x, kernel, AROUND, 2))


def test_the_gradient_of_reduced_precision_is_summed_in_full():
    x, kernel = _given(2, (24, 24), 64, 48, 3, jnp.bfloat16)
    gradients = jax.jit(_gradients, static_argnums=(0, 3))
    _, to_x, to_kernel = gradients(convolve, x, kernel, AROUND)
    assert to_x.dtype == to_kernel.dtype == jnp.bfloat16
    exact = gradients(_plain, *(a.astype(jnp.float32) for a in (x, kernel)), AROUND)[2]
    error = jnp.abs(to_kernel.astype(jnp.float32) - exact).max() / jnp.abs(exact).max()
    assert error < 0.02


def _windows(function, x, kernel):
    """Return the window sides of all convolutions in the compiled gradient."""
    program = jax.jit(lambda x, kernel: _gradients(function, x, kernel, AROUND)).lower(x, kernel).compile().as_text()
    return [int(side) for side in re.findall(r"window={size=(\d+)x", program)]


@pytest.mark.usefixtures("compile_as_users")
def test_on_a_cpu_no_window_is_as_large_as_the_image():
    if jax.default_backend() != "cpu":
        pytest.skip("XLA's own gradient is used on accelerators")
    x, kernel = _given(2, (24, 24), 64, 48, 3)
    assert max(_windows(convolve, x, kernel)) == 3
    assert max(_windows(_plain, x, kernel)) > 20, "XLA's gradient has changed: is ours still faster?"


def test_the_gradient_works_inside_a_loop():
    x, kernels = _given(1, (12, 12), 40, 40, 3)[0], jax.random.normal(jax.random.key(2), (3, 3, 3, 40, 40)) / 20

    def after_three(convolution, kernels):
        return jax.lax.scan(lambda x, kernel: (convolution(x, kernel, AROUND), None), x, kernels)[0].mean()

    ours, plain = (jax.jit(jax.grad(lambda k, f=f: after_three(f, k)))(kernels) for f in (convolve, _plain))
    np.testing.assert_allclose(ours, plain, atol=1e-6 * float(jnp.abs(plain).max()), rtol=1e-4)


def test_each_channel_of_each_image_has_its_own_kernel():
    rng = np.random.default_rng(0)
    x, kernels = rng.random((2, 5, 7, 3), np.float32), rng.normal(size=(2, 3, 3, 3)).astype(np.float32)
    for got, image, kernel in zip(depthwise(x, kernels), x, kernels):
        for c in range(3):
            want = scipy.ndimage.correlate(image[..., c], kernel[..., c], mode="constant")
            np.testing.assert_allclose(got[..., c], want, atol=1e-6)
    np.testing.assert_allclose(depthwise(x, kernels[:1])[0], depthwise(x, kernels)[0], atol=1e-6)
