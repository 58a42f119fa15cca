"""Resizing each image to a size of its own, against resizing one image by a fixed matrix."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import ops
from blindsr_jax.degradations.variable_size import resize_to
from blindsr_jax.ops.interpolation import interpolate

_resize_to = jax.jit(resize_to, static_argnums=(3, 4))
KINDS = ("antialiased_bicubic", "box", "area", "bilinear", "bicubic")


@pytest.fixture(scope="module")
def images():
    return jax.random.uniform(jax.random.key(0), (2, 24, 20, 3))


def _alone(x, size, kind):
    """One image, by the operators for fixed sizes."""
    if kind == "antialiased_bicubic":
        scale = size[0] / x.shape[1]
        assert scale == size[1] / x.shape[2]
        return ops.imresize(x, scale)
    return interpolate(x, kind, size=size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(12, 10), (18, 15), (24, 20), (36, 30)])
def test_one_size_for_all_is_plain_resizing(images, kind, size):
    if kind == "box" and size[0] > 24:
        kind, reference = "box", "bilinear"  # enlarging by box is bilinear, as its documentation says
    else:
        reference = kind
    whole, wanted = jnp.array([[24, 20]] * 2), jnp.array([size] * 2)
    out, _ = _resize_to(images, whole, wanted, size, (kind,), jnp.zeros(2, int))
    np.testing.assert_allclose(out, _alone(images, size, reference), atol=1e-5)


def test_each_image_has_its_own_size_and_interpolation(images):
    sizes, wanted = np.array([[24, 20], [12, 16]]), np.array([[12, 10], [9, 12]])
    junk = images.at[1, 12:].set(7.0).at[1, :, 16:].set(-7.0)  # beyond the second image
    out, _ = jax.jit(functools.partial(resize_to, shape=(14, 15), kinds=KINDS))(
        junk, jnp.array(sizes), jnp.array(wanted), kind=jnp.array([0, 4])
    )
    for number, kind in enumerate((KINDS[0], KINDS[4])):
        (height, width), (rows, columns) = sizes[number], wanted[number]
        want = _alone(images[number : number + 1, :height, :width], (rows, columns), kind)[0]
        np.testing.assert_allclose(out[number, :rows, :columns], want, atol=1e-5)
        beyond = np.pad(want, ((0, 14 - rows), (0, 15 - columns), (0, 0)), mode="edge")
        np.testing.assert_allclose(out[number], beyond, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gain_is_that_of_white_noise(kind):
    noise = jax.random.normal(jax.random.key(1), (2, 128, 128, 3))
    sizes = jnp.array([[128, 128], [96, 96]])
    wanted = jnp.array([[64, 64], [150, 150]])
    out, gain = _resize_to(noise, sizes, wanted, (150, 150), (kind,), jnp.zeros(2, int))
    measured = [out[0, :64, :64].std(), out[1, :150, :150].std()]
    np.testing.assert_allclose(measured, gain, rtol=0.03)
