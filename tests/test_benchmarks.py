"""The benchmarks still fit the package they measure."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks import kernel_estimation, training_step
from benchmarks.suites import blurs
from blindsr_jax import ops
from blindsr_jax.degradations import isotropic_gaussian
from blindsr_jax.networks import build, init_variables

_SMALL = {
    "danv1": {"blocks": 1, "features": 4, "estimator_features": 4, "estimator_blocks": 1, "iterations": 2},
    "dssr": {"blocks": 1, "features": 4, "refine_blocks": 1, "iterations": 2},
}


@pytest.mark.parametrize("name", ["danv1", "dssr"])
def test_the_plain_scan_computes_the_same_gradient(name):
    """What is compared in memory and time is the same update, written in two ways."""
    network = build(name, scale=2, **_SMALL[name])
    variables = init_variables(network, jax.random.key(0, impl="rbg"))
    optimizer = optax.sgd(1.0)
    params, constants = variables["params"], variables["constants"]
    lr, hr = jax.random.uniform(jax.random.key(1), (1, 8, 8, 3)), jnp.full((1, 16, 16, 3), 0.6)
    kernel = jnp.broadcast_to(isotropic_gaussian(1.0, 21), (1, 21, 21))
    ways, loss = training_step.NETWORKS[name]
    results = {}
    for how in (ways[0], "scan"):
        step = jax.jit(training_step.training_step(network, optimizer, how, loss))
        results[how] = step(params, optimizer.init(params), constants, lr, hr, kernel)
    for a, b in zip(jax.tree.leaves(results[ways[0]][0]), jax.tree.leaves(results["scan"][0])):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(results["scan"][0]), jax.tree.leaves(params)))


@pytest.mark.parametrize("way", [blurs.grouped_convolution, blurs.mapped_convolution, blurs.fourier])
def test_every_blur_that_is_timed_is_the_same_blur(way):
    x, kernel = jax.random.uniform(jax.random.key(0), (2, 12, 14, 3)), jax.random.uniform(jax.random.key(1), (2, 5, 5))
    np.testing.assert_allclose(way(x, kernel), ops.blur(x, kernel), atol=1e-5)


def test_the_work_of_kernelnet_is_counted_rightly():
    """Every weight of the gradient module meets every pixel once: a product and a sum."""
    network = build("kernelnet", scale=4)
    variables = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))
    weights = [leaf for leaf in jax.tree.leaves(variables["params"]["gradient_module"]) if leaf.ndim == 4]
    assert kernel_estimation.gigaflop(512) == pytest.approx(2e-9 * 512**2 * sum(leaf.size for leaf in weights))
