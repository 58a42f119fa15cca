import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from blindsr_jax import config as config_lib
from blindsr_jax.errors import ConfigError
from blindsr_jax.networks import MODELS, build, init_variables
from blindsr_jax.networks.dan_v1 import ConditionedConv
from blindsr_jax.networks.layers import interpolation_skip
from tests.conftest import drilled

SMALL = {
    "danv1": {"blocks": 2, "features": 8, "estimator_features": 8, "estimator_blocks": 1, "kernel_size": 11},
    "danv2": {
        "blocks": 1,
        "groups": 2,
        "features": 8,
        "estimator_features": 8,
        "estimator_blocks": 1,
        "kernel_size": 11,
    },
}
COMPACT = {"upsampler": "single", "skip": "nearest"}


@functools.cache
def _small(name, scale=2, **sizes):
    network = build(name, scale=scale, **SMALL[name] | sizes)
    basis = jax.random.normal(jax.random.key(1), (121, 10)) / 11
    return network, init_variables(network, jax.random.key(0, impl="rbg"), basis)


def _apply(network, variables, lr, **options):
    return jax.jit(lambda v, x: network.apply(v, x, **options))(variables, lr)


def _lr(height=9, width=12, batch=2):
    return jax.random.uniform(jax.random.key(2), (batch, height, width, 3))


@pytest.mark.parametrize(("name", "millions"), [("danv1", 4.33), ("danv2", 4.71)])
def test_published_sizes(name, millions):
    shapes = jax.eval_shape(lambda: init_variables(build(name, scale=4), jax.random.key(0)))
    count = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(shapes["params"]))
    assert round(count / 1e6, 2) == millions


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (3, 3), (4, 1), (7, 9)])
def test_a_code_is_convolved_as_if_it_were_stretched(height, width):
    layer = ConditionedConv(6)
    x, code = jax.random.normal(jax.random.key(0), (2, height, width, 4)), jax.random.normal(jax.random.key(1), (2, 3))
    stretched = jnp.broadcast_to(code[:, None, None], (2, height, width, 3))
    variables = layer.init(jax.random.key(2), x, code)
    weights = jax.random.normal(jax.random.key(3), (2, height, width, 6))

    def weighted(variables, x, condition):
        y = layer.apply(variables, x, condition)
        return (weights * y).sum(), y

    value = jax.jit(jax.value_and_grad(weighted, argnums=(0, 1), has_aux=True))
    ((_, y), gradient), ((_, expected), of_stretched) = (value(variables, x, c) for c in (code, stretched))
    np.testing.assert_allclose(y, expected, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), gradient, of_stretched)


@pytest.mark.parametrize(
    ("name", "scale", "sizes"),
    [
        ("danv1", 2, {}),
        drilled("danv1", 3, {}),
        ("danv1", 4, {}),
        drilled("danv1", 2, COMPACT),
        ("danv1", 3, COMPACT),
        drilled("danv1", 4, COMPACT),
        ("danv2", 1, {}),
        drilled("danv2", 2, {}),
        drilled("danv2", 3, {}),
        ("danv2", 4, {}),
    ],
)
def test_shapes_at_every_scale_and_odd_sizes(name, scale, sizes):
    network, variables = _small(name, scale, **sizes)
    out = _apply(network, variables, _lr(9, 13), trace=True, iterations=3)
    assert out.sr.shape == (2, 9 * scale, 13 * scale, 3)
    assert out.kernel.shape == (2, 11, 11)
    assert out.kernel_code.shape == (2, 10)
    assert out.trace.sr.shape == (3, *out.sr.shape)
    assert out.trace.kernel.shape == (3, 2, 11, 11)
    np.testing.assert_allclose(out.trace.kernel.sum(axis=(2, 3)), 1, atol=1e-5)
    np.testing.assert_array_equal(out.trace.sr[-1], out.sr)


@pytest.mark.parametrize("name", SMALL)
def test_parameters_are_shared_between_steps(name):
    """More steps need no more parameters, and the first steps do not depend on their number."""
    network, variables = _small(name)
    longer = _apply(network, variables, _lr(), iterations=5, trace=True).trace
    shorter = _apply(network, variables, _lr(), iterations=2, trace=True).trace
    np.testing.assert_allclose(longer.sr[:2], shorter.sr, atol=1e-6)
    assert float(jnp.abs(longer.sr[4] - longer.sr[0]).max()) > 1e-5


@pytest.mark.parametrize("name", SMALL)
def test_a_known_kernel_is_used_once_and_returned(name):
    network, variables = _small(name)
    kernel = jnp.stack([jnp.eye(11) / 11, jnp.full((11, 11), 1 / 121)])
    out = _apply(network, variables, _lr(), kernel=kernel, trace=True)
    np.testing.assert_array_equal(out.kernel, kernel)
    assert out.trace.sr.shape[0] == 1
    other = _apply(network, variables, _lr(), kernel=kernel[::-1])
    assert float(jnp.abs(out.sr - other.sr).max()) > 1e-6, "the Restorer must use the kernel"


def _loss_last(network, variables, lr, gradient):
    step = network.apply(variables, lr, gradient=gradient, method="training_steps")[-1]
    return jnp.square(step.sr).mean() + jnp.square(step.code).mean() + jnp.square(step.kernel).mean()


@pytest.mark.parametrize("name", [drilled("danv1"), "danv2"])
def test_gradient_free_steps_change_neither_loss_nor_gradient(name):
    """If the last step is supervised, T − 1 steps in a loop without gradient equal differentiation of all T.

    That of DANv1 is compared with the authors' gradient in tests/parity/test_golden.py.
    """
    network, variables = _small(name)
    constants = variables["constants"]

    def loss(params, gradient):
        return _loss_last(network, {"params": params, "constants": constants}, _lr(), gradient)

    fast, slow = (jax.jit(jax.value_and_grad(lambda p: loss(p, g)))(variables["params"]) for g in ("last", "all"))  # noqa: B023
    np.testing.assert_allclose(fast[0], slow[0], rtol=1e-5)
    for name, got, want in zip(flatten_dict(fast[1], sep="/"), *map(jax.tree.leaves, (fast[1], slow[1]))):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=1e-6, err_msg=name)
    assert any(float(jnp.abs(leaf).max()) > 1e-4 for leaf in jax.tree.leaves(fast[1]))


def test_steps_without_gradient_store_nothing():
    """With ``last``, memory does not depend on the number of steps. With ``all``, it grows with them."""
    network, variables = _small("danv1")

    def stored(iterations, gradient):
        several = network.clone(iterations=iterations)

        def loss(params):
            given = variables | {"params": params}
            steps = several.apply(given, _lr(), gradient=gradient, method="training_steps")
            return sum(jnp.square(step.sr).mean() for step in steps)

        shapes = jax.eval_shape(lambda params: jax.vjp(loss, params)[1], variables["params"])
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))

    assert stored(2, "last") == stored(4, "last") < stored(2, "all") < stored(4, "all")


@pytest.mark.parametrize("name", SMALL)
def test_the_image_alone_needs_no_last_estimate(name):
    network, variables = _small(name)
    alone, whole = (_apply(network, variables, _lr(), image_only=only) for only in (True, False))
    np.testing.assert_allclose(alone.sr, whole.sr, atol=1e-6)
    assert alone.kernel is None and alone.kernel_code is None
    known = _apply(network, variables, _lr(), kernel_code=whole.kernel_code, image_only=True)
    assert known.kernel is None and known.sr.shape == whole.sr.shape
    traced = _apply(network, variables, _lr(), image_only=True, trace=True)
    assert traced.kernel is None and traced.trace.kernel.shape[0] == network.iterations
    np.testing.assert_allclose(traced.trace.kernel[-1], whole.kernel, atol=1e-6)


def test_the_last_estimate_is_left_out_at_run_time():
    """A callback counts the runs of the Estimator."""
    runs = []

    def counted(code):
        runs.append(1)
        return code

    class Counting(nn.Module):
        predicts: str = "code"

        @nn.compact
        def __call__(self, sr, lr):
            code = nn.Dense(10)(sr.mean(axis=(1, 2)))
            return jax.pure_callback(counted, code, code)

    network, _ = _small("danv1")
    network = network.clone(estimator=Counting())
    variables = init_variables(network, jax.random.key(0, impl="rbg"), jnp.zeros((121, 10)))
    for steps, only, expected in ((4, False, 4), (4, True, 3), (1, True, 0)):
        runs.clear()
        jax.block_until_ready(_apply(network, variables, _lr(), iterations=steps, image_only=only))
        assert len(runs) == expected


@pytest.mark.parametrize("name", SMALL)
def test_all_steps_are_returned_for_deep_supervision(name):
    network, variables = _small(name)
    steps = _apply(network, variables, _lr(), gradient="all", method="training_steps")
    assert len(steps) == network.iterations
    trace = _apply(network, variables, _lr(), trace=True).trace
    for t, step in enumerate(steps):
        np.testing.assert_allclose(step.sr, trace.sr[t], atol=1e-5)


def test_compact_family_is_small_and_adds_to_interpolation():
    sizes = config_lib.model_sizes(config_lib.default("dan_lite", 4))
    variables = jax.eval_shape(lambda: init_variables(build(**sizes), jax.random.key(0)))
    assert sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"])) < 0.6e6
    network, variables = _small("danv1", 4, **COMPACT)
    lr = _lr()
    nearest = interpolation_skip(lr, 4, "nearest")
    assert nearest.shape == (2, 36, 48, 3)
    assert nearest[0, 5, 6, 0] == lr[0, 1, 1, 0]
    without, _ = _small("danv1", 4, **COMPACT | {"skip": "none"})
    difference = _apply(network, variables, lr, iterations=1).sr - _apply(without, variables, lr, iterations=1).sr
    np.testing.assert_allclose(difference, nearest, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("danv3", {"scale": 4}, "no model 'danv3'"),
        ("danv1", {"scale": 5}, "scale of model 'danv1' must be 2, 3, 4, not 5"),
        ("danv1", {"scale": 1}, "not 1"),
        ("danv2", {"scale": 4, "upsampler": "single"}, "has no upsampler"),
        ("danv1", {"scale": 4, "skip": "linear"}, "none, nearest, bicubic, not linear"),
        ("danv1", {"scale": 4, "upsampler": "fast"}, "stages, single, not fast"),
        ("danv1", {"scale": 4, "iterations": 0}, "whole number of at least 1, got 0"),
        ("danv1", {"scale": 4, "blocks": 2.5}, "whole number of at least 1"),
    ],
)
def test_what_cannot_be_built_is_named(name, sizes, message):
    with pytest.raises(ConfigError, match=message):
        build(name, **sizes)


def test_configs_and_builders_name_the_same_sizes():
    for model in ("danv1", "danv2", "dssr", "dan_lite"):
        sizes = config_lib.model_sizes(config_lib.default(model, 2))
        assert sizes["name"] in MODELS
        build(**sizes)
