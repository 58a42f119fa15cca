"""Winograd's convolution along rows equals the direct one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.ops import winograd_1d
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
        ((2, 3, 18, 16), 20),
        ((1, 20, 19, 33), 16),
        ((2, 37, 61, 64), 74),
        ((3, 67, 130, 48), 64),
    ],
)
def test_result_is_that_of_the_sum_in_float64(shape, features, padding):
    x, kernel = _given(shape, features)
    assert winograd_1d.suits(x, kernel, padding)
    y = jax.jit(winograd_1d.convolve, static_argnums=2)(x, kernel, padding)
    wanted = _in_float64(x, kernel, padding)
    assert y.shape == wanted.shape and y.dtype == np.float32
    np.testing.assert_allclose(y, wanted, atol=1.5e-6 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("shape", "window", "dtype"),
    [
        ((1, 16, 15, 16), 3, np.float32),
        ((1, 16, 16, 15), 3, np.float32),
        ((1, 16, 16, 16), 5, np.float32),
        ((1, 16, 16, 16), 3, jnp.bfloat16),
    ],
)
def test_other_sizes_and_types_are_left_to_the_plain_sum(shape, window, dtype):
    kernel = jnp.zeros((window, window, shape[-1], shape[-1]), dtype)
    assert not winograd_1d.suits(jnp.zeros(shape, dtype), kernel, ((window // 2,) * 2,) * 2)
    assert winograd_1d.suits(jnp.zeros((1, 16, 16, 16)), jnp.zeros((3, 3, 16, 16)), AROUND)
    assert not winograd_1d.suits(jnp.zeros((1, 2, 16, 16)), jnp.zeros((3, 3, 16, 16)), ((0, 0), (1, 1)))


def test_result_and_gradients_are_those_of_the_plain_form():
    x, kernel = _given((2, 16, 18, 48), 40)
    g = jnp.asarray(np.random.default_rng(1).standard_normal((2, 16, 18, 40)), jnp.float32)

    def gradients(winograd, x, kernel):
        return jax.value_and_grad(lambda *a: jnp.vdot(convolve(*a, AROUND, winograd=winograd), g), (0, 1))(x, kernel)

    for got, want in zip(*(jax.tree.leaves(gradients(form, x, kernel)) for form in ("1d", None))):
        np.testing.assert_allclose(got, want, atol=1e-5 * float(jnp.abs(want).max()))


@pytest.mark.parametrize(("platform", "convolutions"), [("cpu", 6), ("tpu", 1), ("cuda", 1)])
def test_only_cpus_compute_it_so(platform, convolutions):
    x, kernel = _given((1, 16, 16, 16), 16)
    form = jax.jit(lambda x, kernel: convolve(x, kernel, AROUND, winograd="1d"))
    text = form.trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution(") == convolutions
