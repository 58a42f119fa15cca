"""Bands of rows of one image as a batch, which a TPU computes faster, give the result of the whole image."""

import functools

import jax
import numpy as np
import pytest

from blindsr_jax.inference import programs
from blindsr_jax.networks import Region, build, init_variables
from blindsr_jax.networks.compute import with_compute
from tests.conftest import drilled

_DAN = {"features": 8, "estimator_features": 8, "estimator_blocks": 2, "kernel_size": 11, "iterations": 2}
_SIZES = {
    "danv1": _DAN | {"blocks": 2},
    "danv2": _DAN | {"blocks": 2, "groups": 2},
    "dssr": {"features": 4, "blocks": 2, "refine_blocks": 1, "iterations": 2},
    "dcls": {"features": 8, "groups": 2, "blocks": 2, "latent_features": 4, "kernel_size": 11},
}
_WHOLE, _ODD = (32, 18), (35, 19)  # rows that four bands divide, and rows that they do not


@functools.cache
def _network(name):
    """Return a network with non-zero biases, so that rows outside the image would affect the result."""
    network = build(name, scale=2, **_SIZES[name])
    basis = np.random.default_rng(1).normal(size=(121, 10)).astype(np.float32) / 11 if "dan" in name else None
    variables = jax.jit(lambda key: init_variables(network, key, basis))(jax.random.key(0, impl="rbg"))
    rng, amount = np.random.default_rng(0), 0.01 if name == "dcls" else 0.1  # DCLS divides by a kernel's spectrum
    params = jax.tree.map(lambda x: x + amount * rng.normal(size=x.shape).astype(np.float32), variables["params"])
    return network, variables | {"params": params}


def _image(size, batch=1):
    return np.random.default_rng(sum(size)).random((batch, *size, 3), np.float32)


def _traced(network, variables, lr, **options):
    return str(jax.make_jaxpr(functools.partial(network.apply, **options))(variables, lr))


@pytest.mark.parametrize("size", [_WHOLE, _ODD], ids=str)
@pytest.mark.parametrize("name", ["danv1", "dssr", drilled("danv2"), drilled("dcls")])
def test_bands_restore_what_the_whole_image_does(name, size):
    network, variables = _network(name)
    in_bands, lr = with_compute(network, bands=4), _image(size)
    assert f"f32[4,{-(-size[0] // 4)},{size[1]}," in _traced(in_bands, variables, lr)
    got, want = (jax.jit(module.apply)(variables, lr) for module in (in_bands, network))
    assert np.abs(want.sr).max() > 0.1
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("name", ["danv1", drilled("danv2"), drilled("dssr")])
def test_bands_of_a_padded_image(name):
    network, variables = _network(name)
    size, shape = (21, 13), _ODD
    lr = np.full((1, *shape, 3), 7, np.float32)
    lr[:, : size[0], : size[1]] = _image(size)
    region = Region(tuple(np.array(size, np.int32)))
    got = jax.jit(with_compute(network, bands=4).apply)(variables, lr, region=region)
    want = jax.jit(network.apply)(variables, _image(size))
    np.testing.assert_allclose(got.sr[:, : 2 * size[0], : 2 * size[1]], want.sr, atol=1e-5)
    np.testing.assert_array_equal(got.sr[:, 2 * size[0] :], 0)


def test_batches_tiles_and_low_images_are_left_whole():
    network, variables = _network("danv1")
    in_bands = with_compute(network, bands=4)
    windows = Region(windows=np.array([[0, 32, 0, 18]], np.int32))
    for lr, options in [(_image(_WHOLE, 2), {}), (_image((31, 18)), {}), (_image(_WHOLE), {"region": windows})]:
        assert _traced(in_bands, variables, lr, **options) == _traced(network, variables, lr, **options)


def test_one_device_restores_in_bands_if_it_is_a_tpu():
    network = _network("danv1")[0]
    found = [programs.for_one_device(network, backend).compute.bands for backend in ("tpu", "gpu", "cpu", None)]
    assert found == [8, 1, 1, 1]
