"""Networks in bfloat16: what stays float32, how near the results are, and that gradients can be trained with."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import losses
from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.layers import conv
from blindsr_jax.networks.precision import computing_in
from blindsr_jax.training.step import supervised_loss
from blindsr_jax.types import Degraded

pytestmark = pytest.mark.usefixtures("compile_fast")
NETWORKS = {
    "danv1": {"blocks": 2, "features": 36, "estimator_features": 8, "estimator_blocks": 1, "kernel_size": 11}
    | {"iterations": 2},
    "danv2": {"blocks": 1, "groups": 2, "features": 36, "estimator_features": 8, "estimator_blocks": 1}
    | {"kernel_size": 11, "iterations": 2},
    "dssr": {"features": 12, "blocks": 1, "refine_blocks": 1, "iterations": 2},
}
HALF_STEP = 2.0**-8  # the largest relative error of a number in bfloat16


@functools.cache
def _network(name):
    network = build(name, scale=2, **NETWORKS[name])
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(121, 10)))[0].astype(np.float32)
    return network, init_variables(network, jax.random.key(0, impl="rbg"), None if name == "dssr" else basis)


def _batch():
    rng = np.random.default_rng(0)
    hr, lr = rng.random((2, 36, 40, 3), np.float32), rng.random((2, 18, 20, 3), np.float32)
    kernel = rng.random((2, 11, 11), np.float32)
    return hr, Degraded(lr, kernel / kernel.sum(axis=(1, 2), keepdims=True))


def _restored(network, variables, lr, precision, **options):
    with computing_in(precision):
        return jax.jit(functools.partial(network.apply, **options))(variables, lr)


@pytest.mark.parametrize(("name", "option"), [("danv1", "trace"), ("danv2", "image_only"), ("dssr", "trace")])
def test_results_are_float32_and_near(name, option):
    network, variables = _network(name)
    lr = _batch()[1].lr
    whole, reduced = (_restored(network, variables, lr, kind, **{option: True}) for kind in ("float32", "bfloat16"))
    assert np.any(whole.sr != reduced.sr), "it computes in another type"
    for one, other in zip(jax.tree.leaves(reduced), jax.tree.leaves(whole), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=4 * HALF_STEP * np.abs(other).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_convolutions_take_both_operands_in_it(name):
    """All but the last ones: a kernel's, and the image's, of which there are several along its borders."""
    network, variables = _network(name)
    with computing_in("bfloat16"):
        program = str(jax.make_jaxpr(functools.partial(network.apply, iterations=1))(variables, _batch()[1].lr))
    types = [line.split(":")[1].split("[")[0] for line in program.splitlines() if "= conv_general_dilated[" in line]
    assert set(types) <= {"f32", "bf16"}
    assert types.count("bf16") > types.count("f32")


def _gradient(name, precision):
    network, variables = _network(name)
    loss = {"danv1": losses.code_supervision, "danv2": losses.kernel_supervision, "dssr": losses.detail_supervision}
    options = {"loss": loss[name], "supervise": "all" if name == "dssr" else "last"}

    def loss_of(params):
        with computing_in(precision):
            return supervised_loss(network, variables | {"params": params}, *_batch(), **options)[0]

    return jax.jit(jax.value_and_grad(loss_of))(variables["params"])


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_float32_and_point_the_same_way(name):
    (value, whole), (near, reduced) = (_gradient(name, precision) for precision in ("float32", "bfloat16"))
    assert near.dtype == np.float32
    assert float(near) == pytest.approx(float(value), rel=0.01)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(reduced))
    assert _cosine(*map(_joined, (reduced, whole))) > 0.999
    assert np.any(_joined(reduced) != _joined(whole))
    for (path, one), other in zip(jax.tree_util.tree_leaves_with_path(reduced), jax.tree.leaves(whole)):
        assert _cosine(np.ravel(one), np.ravel(other)) > 0.97, path


def _joined(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def _cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


@pytest.mark.parametrize("features", [8, 40], ids=["by XLA", "by gathered patches"])
def test_gradients_are_added_up_in_float32(features):
    """In bfloat16 256 + 1 = 256: a sum of 4096 ones would end there."""
    x = jnp.ones((1, 64, 64, 40))
    with computing_in("bfloat16"):
        layer = conv(features, 3)
        params = layer.init(jax.random.key(0), x)["params"]
        gradient = jax.jit(jax.grad(lambda params: layer.apply({"params": params}, x).sum(dtype=np.float32)))(params)
    np.testing.assert_array_equal(gradient["bias"], 64 * 64)
    np.testing.assert_array_equal(gradient["kernel"][1, 1], 64 * 64)
