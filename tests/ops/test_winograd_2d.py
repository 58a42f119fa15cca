"""Winograd's convolution in two dimensions equals the direct one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.ops import winograd_2d
from blindsr_jax.ops.convolution import convolve

AROUND = ((1, 1), (1, 1))


def _given(shape, features):
    keys = jax.random.split(jax.random.key(0), 3)
    kernel = jax.random.normal(keys[1], (3, 3, shape[-1], features)) / 3 / np.sqrt(shape[-1])
    return jax.random.normal(keys[0], shape), kernel, jax.random.normal(keys[2], (*shape[:-1], features))


def _plain(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), AROUND, dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize(
    ("shape", "features"),
    [
        ((2, 16, 18, 33), 35),
        ((6, 32, 32, 64), 74),  # a chunk of several images
        ((2, 96, 64, 74), 64),  # an image of several bands
        ((1, 34, 512, 32), 40),  # 34 rows are not a multiple of the rows that fit in a chunk
        ((1, 16, 5000, 48), 32),  # a pair of rows exceeds a chunk
    ],
)
def test_result_and_kernel_gradient_are_those_of_the_plain_sum(shape, features):
    x, kernel, g = _given(shape, features)
    y, pull = jax.vjp(_plain, x, kernel)
    np.testing.assert_allclose(
        jax.jit(winograd_2d.convolve, static_argnums=2)(x, kernel, AROUND), y, atol=2e-6 * float(jnp.abs(y).max())
    )
    wanted = pull(g)[1]
    got = jax.jit(winograd_2d.kernel_gradient, static_argnums=2)(x, g, AROUND)
    np.testing.assert_allclose(got, wanted, atol=2e-5 * float(jnp.abs(wanted).max()))


@pytest.mark.parametrize(
    ("shape", "window", "dtype"),
    [
        ((1, 17, 16, 40), 3, np.float32),
        ((1, 16, 15, 40), 3, np.float32),
        ((1, 16, 16, 40), 5, np.float32),
        ((1, 16, 16, 16), 3, np.float32),
        ((1, 16, 16, 40), 3, jnp.bfloat16),
    ],
)
def test_other_sizes_and_types_are_left_to_the_plain_sum(shape, window, dtype):
    kernel = jnp.zeros((window, window, shape[-1], shape[-1]), dtype)
    assert not winograd_2d.suits(jnp.zeros(shape, dtype), kernel, ((window // 2,) * 2,) * 2)
    assert winograd_2d.suits(jnp.zeros((1, 16, 16, 40)), jnp.zeros((3, 3, 40, 40)), AROUND)
    assert not winograd_2d.suits(jnp.zeros((1, 16, 16, 40)), jnp.zeros((3, 3, 40, 40)), ((1, 0), (1, 1)))


def test_all_three_products_are_computed_this_way_if_asked():
    x, kernel, g = _given((2, 16, 16, 48), 40)

    def gradients(winograd, x, kernel):
        def loss(x, kernel):
            return jnp.vdot(convolve(x, kernel, AROUND, winograd=winograd), g)

        return jax.value_and_grad(loss, (0, 1))(x, kernel)

    programs = {}
    for form in ("2d", None):
        traced = jax.jit(gradients, static_argnums=0).trace(form, x, kernel)
        programs[form] = str(traced.jaxpr).count("conv_general_dilated[")
    assert programs["2d"] == 0 < programs[None]
    for got, want in zip(*(jax.tree.leaves(gradients(form, x, kernel)) for form in programs)):
        np.testing.assert_allclose(got, want, atol=1e-5 * float(jnp.abs(want).max()))
