import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import losses
from blindsr_jax.networks import build, init_variables
from blindsr_jax.types import Degraded, Estimate


@functools.cache
def _small(scale=2):
    network = build("dssr", scale=scale, features=4, blocks=1, refine_blocks=1)
    return network, init_variables(network, jax.random.key(0, impl="rbg"))


def _lr():
    return jax.random.uniform(jax.random.key(2), (2, 9, 13, 3))


def _apply(network, variables, lr, **options):
    return jax.jit(lambda v, x: network.apply(v, x, **options))(variables, lr)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_shapes_and_the_mean_of_the_steps(scale):
    out = _apply(*_small(scale), _lr(), iterations=3, trace=True)
    assert out.sr.shape == (2, 9 * scale, 13 * scale, 3)
    assert out.kernel is None
    assert out.trace.detail.shape == (3, *out.sr.shape)
    np.testing.assert_allclose(out.sr, out.trace.sr.mean(axis=0), atol=1e-5)


def test_full_size():
    """The number of parameters at ×4 with C = 128, added up by hand."""
    c, convolution = 128, 128 * 128 * 9 + 128
    head, compress = 3 * c * 9 + c, 2 * c * c + c
    blocks = (15 + 5) * 2 * convolution
    resampling = 2 * (c * c * 16 + c)  # up and down, 4×4
    detail = (c * 3 * 9 + 3) + (3 * c * 9 + c)
    modulation = 2 * (4 * convolution + 2 * (c * c + c))
    upscale = 2 * (c * 4 * c * 9 + 4 * c) + (c * 3 * 9 + 3)
    by_hand = head + compress + blocks + resampling + detail + modulation + upscale
    variables = jax.eval_shape(lambda: init_variables(build("dssr", scale=4), jax.random.key(0)))
    assert sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"])) == by_hand
    assert by_hand == 8_902_278


def test_gradient_goes_through_all_steps():
    network, variables = _small()

    @jax.jit
    def loss(params):
        steps = network.apply({"params": params}, _lr(), gradient="all", method="training_steps")
        return jnp.square(steps[-1].sr).mean()

    grads = jax.jit(jax.grad(loss))(variables["params"])
    epsilon, direction = 1e-2, jax.tree.map(lambda x: jnp.sign(x + 1e-9), grads)
    values = [
        loss(jax.tree.map(lambda p, d, s=s: p + s * epsilon * d, variables["params"], direction)) for s in (1, -1)
    ]
    slope = sum(jnp.vdot(g, d) for g, d in zip(jax.tree.leaves(grads), jax.tree.leaves(direction)))
    np.testing.assert_allclose((values[0] - values[1]) / (2 * epsilon), slope, rtol=0.05)


def test_detail_target_is_what_interpolation_lacks():
    network, variables = _small()
    hr = jax.random.uniform(jax.random.key(3), (2, 18, 26, 3))
    targets = network.apply(variables, hr, Degraded(_lr(), None), method="targets")
    degraded = Degraded(jnp.full((1, 2, 2, 3), 0.3), None)
    flat = network.apply(variables, jnp.full((1, 4, 4, 3), 0.3), degraded, method="targets")
    assert targets.detail.shape == hr.shape
    np.testing.assert_allclose(flat.detail, 0, atol=1e-6)


def test_loss_weighs_detail():
    step = Estimate(sr=jnp.ones((1, 2, 2, 3)), detail=jnp.ones((1, 2, 2, 3)))
    truth = Estimate(sr=jnp.zeros((1, 2, 2, 3)), detail=jnp.full((1, 2, 2, 3), -1.0))
    loss, parts = losses.detail_supervision([step, step], truth, detail_weight=0.5)
    assert float(loss) == pytest.approx(2 * (1 + 0.5 * 2))
    assert float(parts["loss_detail"]) == pytest.approx(1.0)
