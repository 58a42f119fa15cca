"""Winograd's convolution along columns, and its gradients, equal the direct ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.ops import winograd
from blindsr_jax.ops.convolution import convolve

AROUND = ((1, 1), (1, 1))


def _given(shape, features):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape, np.float32)
    return jnp.asarray(x), jnp.asarray(rng.standard_normal((3, 3, shape[-1], features)) / 30, jnp.float32)


def _in_float64(x, kernel, padding):
    """The plain sum, by NumPy in float64."""
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), *padding, (0, 0)))
    height, width = (length - 2 for length in padded.shape[1:3])
    shifted = [[padded[:, i : i + height, j : j + width] for j in range(3)] for i in range(3)]
    return sum(shifted[i][j] @ np.asarray(kernel[i, j], np.float64) for i in range(3) for j in range(3))


@pytest.mark.parametrize("padding", [AROUND, ((0, 0), (1, 1)), ((0, 0), (0, 0)), ((2, 0), (0, 1))])
@pytest.mark.parametrize(
    ("shape", "features"),
    [
        ((2, 18, 3, 16), 20),
        ((1, 19, 20, 33), 16),
        ((2, 61, 37, 64), 74),
        ((3, 128, 67, 48), 64),
    ],
)
def test_result_is_that_of_the_sum_in_float64(shape, features, padding):
    x, kernel = _given(shape, features)
    assert winograd.suits(x, kernel, padding)
    y = jax.jit(winograd.convolve, static_argnums=2)(x, kernel, padding)
    wanted = _in_float64(x, kernel, padding)
    assert y.shape == wanted.shape and y.dtype == np.float32
    np.testing.assert_allclose(y, wanted, atol=1.5e-6 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("shape", "window", "dtype"),
    [
        ((1, 15, 16, 16), 3, np.float32),
        ((1, 16, 16, 15), 3, np.float32),
        ((1, 16, 16, 16), 5, np.float32),
        ((1, 16, 16, 16), 3, jnp.bfloat16),
    ],
)
def test_other_sizes_and_types_are_left_to_the_plain_sum(shape, window, dtype):
    kernel = jnp.zeros((window, window, shape[-1], shape[-1]), dtype)
    assert not winograd.suits(jnp.zeros(shape, dtype), kernel, ((window // 2,) * 2,) * 2)
    assert winograd.suits(jnp.zeros((1, 16, 16, 16)), jnp.zeros((3, 3, 16, 16)), AROUND)
    assert not winograd.suits(jnp.zeros((1, 16, 2, 16)), jnp.zeros((3, 3, 16, 16)), ((1, 1), (0, 0)))


@pytest.mark.parametrize("padding", [AROUND, ((0, 0), (1, 1)), ((2, 0), (0, 1))])
@pytest.mark.parametrize(
    ("shape", "features"),
    [
        ((6, 32, 30, 48), 60),  # a chunk is half an image
        ((1, 19, 600, 16), 20),  # a tile exceeds a chunk, and the last one is not full
        ((2, 93, 17, 33), 16),  # 23 or 24 tiles, three or four at a time, or one
    ],
)
def test_the_gradient_to_the_kernel_is_that_of_the_plain_sum(shape, features, padding):
    x, kernel = _given(shape, features)
    y, pull = jax.vjp(lambda kernel: convolve(x, kernel, padding), kernel)
    g = jnp.asarray(np.random.default_rng(1).standard_normal(y.shape), jnp.float32)
    (wanted,) = pull(g)
    got = jax.jit(winograd.kernel_gradient, static_argnums=2)(x, g, padding)
    np.testing.assert_allclose(got, wanted, atol=1e-5 * float(jnp.abs(wanted).max()))


def _with_gradients(filtered, x, kernel, g):
    return jax.value_and_grad(lambda *a: jnp.vdot(convolve(*a, AROUND, filtered=filtered), g), (0, 1))(x, kernel)


def test_result_and_gradients_are_those_of_the_plain_form():
    x, kernel = _given((2, 18, 16, 48), 40)
    g = jnp.asarray(np.random.default_rng(1).standard_normal((2, 18, 16, 40)), jnp.float32)
    for got, want in zip(*(jax.tree.leaves(_with_gradients(form, x, kernel, g)) for form in (True, False))):
        np.testing.assert_allclose(got, want, atol=1e-5 * float(jnp.abs(want).max()))


@pytest.mark.parametrize(("platform", "convolutions"), [("cpu", 12), ("tpu", 3), ("cuda", 3)])
def test_only_cpus_compute_it_so(platform, convolutions):
    """A CPU convolves six times for the result and as often for the gradient to x; that to the kernel is products."""
    x, kernel = _given((1, 16, 16, 16), 16)
    lowered = jax.jit(_with_gradients, static_argnums=0).trace(True, x, kernel, x).lower(lowering_platforms=(platform,))
    assert lowered.as_text().count("stablehlo.convolution(") == convolutions
