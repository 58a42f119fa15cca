"""Convolutions of images whose rows are split among devices (four simulated ones)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from blindsr_jax.ops import row_shards
from blindsr_jax.ops.convolution import convolve


def _mesh(count):
    return Mesh(np.array(jax.devices()[:count]), (row_shards.ROWS,))


def _images(rows, columns, features, result, size):
    x = jax.random.normal(jax.random.key(0), (2, rows, columns, features))
    return x, jax.random.normal(jax.random.key(1), (size, size, features, result)) / size


@pytest.mark.parametrize(
    ("rows", "size", "padding", "stride", "filtered"),
    [
        (64, 3, (1, 1), 1, False),
        (64, 3, (1, 1), 1, True),
        (72, 3, (1, 1), 1, True),
        (32, 9, (4, 4), 2, False),
        (32, 9, (4, 4), 4, False),
        (16, 1, (0, 0), 1, False),
        (16, 2, (0, 1), 1, False),
    ],
)
@pytest.mark.parametrize("devices", [2, 4])
def test_devices_convolve_as_one(devices, rows, size, padding, stride, filtered):
    x, kernel = _images(rows, 16, 32, 33, size)
    form = functools.partial(convolve, padding=(padding, padding), stride=stride, filtered=filtered)
    assert row_shards.suits(x, kernel, (padding, padding), stride, _mesh(devices))
    shared = jax.jit(functools.partial(form, rows=_mesh(devices)))(x, kernel)
    assert len(shared.sharding.device_set) == devices
    alone = form(x, kernel)
    np.testing.assert_allclose(shared, alone, atol=5e-6 * np.abs(alone).max())  # sums of up to 2,592 products


@pytest.mark.parametrize(("rows", "size", "stride"), [(18, 3, 1), (24, 9, 4), (8, 9, 1)])
def test_rows_that_cannot_be_shared_evenly_are_left_to_xla(rows, size, stride):
    """18 rows among four devices; 24 rows at stride 4; two rows where the neighbour needs four."""
    x, kernel = _images(rows, 16, 3, 4, size)
    padding = ((size // 2, size // 2),) * 2
    assert not row_shards.suits(x, kernel, padding, stride, _mesh(4))
    shared = jax.jit(lambda x, k: convolve(x, k, padding, stride, rows=_mesh(4)))(x, kernel)
    np.testing.assert_allclose(shared, convolve(x, kernel, padding, stride), atol=1e-5)


def test_gradients_pass_between_devices():
    x, kernel = _images(32, 16, 3, 4, 3)

    def loss(x, kernel, rows):
        return jnp.sum(jnp.sin(convolve(x, kernel, ((1, 1), (1, 1)), rows=rows)))

    shared, alone = (
        jax.jit(jax.grad(functools.partial(loss, rows=rows), (0, 1)))(x, kernel) for rows in (_mesh(4), None)
    )
    for got, want in zip(shared, alone):
        np.testing.assert_allclose(got, want, atol=1e-4)
