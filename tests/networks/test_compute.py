"""Networks in bfloat16 (types, accuracy, gradients), and independence of compiled programs from earlier traces."""

import functools
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import blindsr_jax
from blindsr_jax import losses
from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.compute import Compute, with_compute
from blindsr_jax.networks.layers import conv
from blindsr_jax.networks.region import Region
from blindsr_jax.training.step import supervised_loss
from blindsr_jax.types import Degraded
from tests.conftest import drilled

NETWORKS = {
    "danv1": {"blocks": 2, "features": 36, "estimator_features": 8, "estimator_blocks": 1, "kernel_size": 11}
    | {"iterations": 2},
    "danv2": {"blocks": 1, "groups": 2, "features": 36, "estimator_features": 8, "estimator_blocks": 1}
    | {"kernel_size": 11, "iterations": 2},
    "dssr": {"features": 12, "blocks": 1, "refine_blocks": 1, "iterations": 2},
}
_ONE = ["danv1", drilled("danv2"), drilled("dssr")]
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
    return jax.jit(functools.partial(with_compute(network, precision=precision).apply, **options))(variables, lr)


@pytest.mark.parametrize(("name", "option"), [("danv1", "trace"), ("danv2", "image_only"), ("dssr", "trace")])
def test_results_are_float32_and_near(name, option):
    network, variables = _network(name)
    lr = _batch()[1].lr
    whole, reduced = (_restored(network, variables, lr, kind, **{option: True}) for kind in ("float32", "bfloat16"))
    assert np.any(whole.sr != reduced.sr), "bfloat16 must change the result"
    for one, other in zip(jax.tree.leaves(reduced), jax.tree.leaves(whole), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=4 * HALF_STEP * np.abs(other).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_convolutions_take_both_operands_in_it(name):
    """Only the last ones are float32: that of the kernel, and those of the image, which has several at its borders."""
    network, variables = _network(name)
    apply = functools.partial(with_compute(network, precision="bfloat16").apply, iterations=1)
    program = str(jax.make_jaxpr(apply)(variables, _batch()[1].lr))
    convolution = re.compile(r":(\w+)\[[\d,]+\] = conv_general_dilated\[|:(\w+)\[2,1,1,\d+\] = dot_general\[")
    types = [wide or of_a_pixel for wide, of_a_pixel in convolution.findall(program)]
    assert set(types) <= {"f32", "bf16"}
    assert types.count("bf16") > types.count("f32")


def _gradient(name, precision):
    network, variables = _network(name)
    network = with_compute(network, precision=precision)
    loss = {"danv1": losses.code_supervision, "danv2": losses.kernel_supervision, "dssr": losses.detail_supervision}
    options = {"loss": loss[name], "supervise": "all" if name == "dssr" else "last"}

    def loss_of(params):
        return supervised_loss(network, variables | {"params": params}, *_batch(), **options)[0]

    return jax.jit(jax.value_and_grad(loss_of))(variables["params"])


@pytest.mark.parametrize("name", _ONE)
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
    """In bfloat16, 256 + 1 = 256, so a sum of 4096 ones would stop at 256."""
    x = jnp.ones((1, 64, 64, 40))
    layer = conv(features, 3, compute=Compute(precision="bfloat16"))
    params = layer.init(jax.random.key(0), x)["params"]
    gradient = jax.jit(jax.grad(lambda params: layer.apply({"params": params}, x).sum(dtype=np.float32)))(params)
    np.testing.assert_array_equal(gradient["bias"], 64 * 64)
    np.testing.assert_array_equal(gradient["kernel"][1, 1], 64 * 64)


@pytest.mark.parametrize("name", _ONE)
def test_a_jitted_function_does_the_same_whatever_was_traced_before(name):
    """In any order of calls, each program uses its precision, convolution and region, and no other."""
    network, variables = _network(name)
    lr, region = _batch()[1].lr, Region((np.int32(9), np.int32(11)))
    calls = {
        "plain": (network, {}),
        "bfloat16": (with_compute(network, precision="bfloat16"), {}),
        "winograd": (with_compute(network, winograd=True), {}),
        "padded": (network, {"region": region}),
        "windows": (network, {"region": Region(windows=np.int32([[0, 9, 0, 9]] * 2))}),
    }
    if not network.estimates_kernel:  # it takes no means over the image
        del calls["windows"]

    def results(order):
        jax.clear_caches()
        apply = jax.jit(lambda module, v, lr, options: module.apply(v, lr, iterations=2, **options), static_argnums=0)
        found = {key: apply(calls[key][0], variables, lr, calls[key][1]) for key in order}
        return {key: np.asarray(found[key].sr) for key in calls}

    first, second = results(calls), results(reversed(calls))
    for key in calls:
        np.testing.assert_array_equal(first[key], second[key])
        assert key in ("plain", "winograd") or np.any(first[key] != first["plain"])


@pytest.mark.parametrize("name", NETWORKS)
def test_choices_change_no_parameter(name):
    network, variables = _network(name)
    chosen = with_compute(network, precision="bfloat16", remat="blocks", winograd=True)
    assert chosen != network and with_compute(chosen, precision="float32", remat="nothing", winograd=False) == network
    others = init_variables(chosen, jax.random.key(0, impl="rbg"), variables["constants"].get("pca_basis"))
    assert jax.tree.structure(others) == jax.tree.structure(variables)
    jax.tree.map(np.testing.assert_array_equal, others, variables)


def test_no_variable_of_a_context_steers_networks_or_operators():
    """JAX would not see it: a compiled function would keep the value from its first trace."""
    package = pathlib.Path(blindsr_jax.__file__).parent
    files = [*(package / "networks").glob("*.py"), *(package / "ops").glob("*.py")]
    assert len(files) > 20
    assert not [file.name for file in files if re.search("contextvars|ContextVar|threading.local", file.read_text())]


@pytest.mark.parametrize("remat", ["nothing", "blocks"])
def test_unrolled_loops_over_blocks_change_nothing(remat):
    """Six blocks in turns of four: the last two are left over; with ``blocks`` they are a group of their own."""
    network = build("danv1", scale=2, **NETWORKS["danv1"] | {"blocks": 6, "features": 8})
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(121, 10)))[0].astype(np.float32)
    variables = init_variables(network, jax.random.key(0, impl="rbg"), basis)
    hr, degraded = _batch()

    def gradient(unroll):
        module = with_compute(network, remat=remat, unroll=unroll)

        def loss(params):
            given = variables | {"params": params}
            return supervised_loss(module, given, hr, degraded, loss=losses.code_supervision, supervise="last")[0]

        return jax.jit(jax.grad(loss))(variables["params"])

    for one, other in zip(*map(jax.tree.leaves, (gradient(1), gradient(4))), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6 * max(np.abs(one).max(), 1e-3))
