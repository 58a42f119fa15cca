"""Operators for symbolic sizes give the numbers of those for known sizes."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.ops.dft import central_window, transform
from blindsr_jax.ops.fft import kernel_least_squares, self_convolve
from blindsr_jax.ops.resize import imresize, interpolate_bicubic


def _for_all_sizes(function, channels):
    """The function as one program for images of every size."""
    shape = jax.export.symbolic_shape(f"b, h, w, {channels}", constraints=["h >= 5", "w >= 5"])
    return jax.export.export(jax.jit(function))(jax.ShapeDtypeStruct(shape, jnp.float32)).call


def _images(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: imresize(x, 3),
        lambda x: interpolate_bicubic(x, (2 * x.shape[1], 2 * x.shape[2]), align_corners=False),
        lambda x: interpolate_bicubic(x, (2 * x.shape[1], 2 * x.shape[2]), align_corners=True),
    ],
    ids=["imresize", "half pixels", "aligned corners"],
)
def test_enlargements(function):
    exported = _for_all_sizes(function, 2)
    for x in (_images(1, 5, 8, 2), _images(2, 9, 7, 2)):
        np.testing.assert_allclose(exported(x), function(x), atol=2e-6)


def test_a_spectrum_is_that_of_the_fft():
    x = _images(1, 5, 6, 1)
    found = transform(x, (8, 7), origin=2)
    padded = np.roll(np.pad(x[0, :, :, 0], ((0, 3), (0, 1))), (-2, -2), (0, 1))
    np.testing.assert_allclose(found.real[0, ..., 0] + 1j * found.imag[0, ..., 0], np.fft.fft2(padded), atol=1e-5)
    np.testing.assert_allclose(central_window(found, 3)[0, ..., 0], np.roll(padded, (1, 1), (0, 1))[:3, :3], atol=1e-6)


def test_solving_for_a_kernel():
    def solved(x):
        kernel = kernel_least_squares(x[..., :2], x[..., 2:], 1e-2, 5)
        return self_convolve(kernel, 2, size=7)

    exported, x = _for_all_sizes(solved, 4), _images(2, 12, 11, 4)
    np.testing.assert_allclose(exported(x), solved(x), atol=1e-6)
