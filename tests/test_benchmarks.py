"""The benchmarks still fit the package they measure."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks import degradation, microbench, networks, training_step
from blindsr_jax import ops
from blindsr_jax.degradations import isotropic_gaussian
from blindsr_jax.networks import MODELS, build, init_variables
from tests.benchmark_runs import SMALL, measured, sizes_of


@pytest.mark.drill
@pytest.mark.parametrize("name", ["danv1", "dssr"])
def test_the_plain_scan_computes_the_same_gradient(name):
    """What is compared in memory and time is the same update, written in two ways."""
    network, variables = training_step.initialised({"name": name, "scale": 2, **sizes_of(name)})
    optimizer = optax.sgd(1.0)
    params, constants = variables["params"], variables["constants"]
    lr, hr = jax.random.uniform(jax.random.key(1), (1, 8, 8, 3)), jnp.full((1, 16, 16, 3), 0.6)
    kernel = jnp.broadcast_to(isotropic_gaussian(1.0, 21), (1, 21, 21))
    best = training_step.ways(network)[0]
    results = {}
    for how in (best, "scan"):
        step = jax.jit(training_step.training_step(network, optimizer, how))
        results[how] = step(params, optimizer.init(params), constants, lr, hr, kernel)
    for a, b in zip(jax.tree.leaves(results[best][0]), jax.tree.leaves(results["scan"][0])):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(results["scan"][0]), jax.tree.leaves(params)))


@pytest.mark.parametrize("way", [degradation.grouped_convolution, degradation.mapped_convolution, degradation.fourier])
def test_every_blur_that_is_timed_is_the_same_blur(way):
    x, kernel = jax.random.uniform(jax.random.key(0), (2, 12, 14, 3)), jax.random.uniform(jax.random.key(1), (2, 5, 5))
    np.testing.assert_allclose(way(x, kernel), ops.blur(x, kernel), atol=1e-5)


def test_the_costs_of_every_network_are_measured():
    measured_ones = {sizes["name"] for sizes in networks.full_sizes(4).values()}
    assert measured_ones == {name for name in MODELS if not MODELS[name].__module__.endswith("drunet")}


def test_the_work_of_kernelnet_is_counted_rightly():
    """Every weight of the gradient module meets every pixel once: a product and a sum."""
    network = build("kernelnet", scale=4)
    variables = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))
    weights = [leaf for leaf in jax.tree.leaves(variables["params"]["gradient_module"]) if leaf.ndim == 4]
    assert microbench.kernelnet_flop(512) == pytest.approx(2.0 * 512**2 * sum(leaf.size for leaf in weights))


@pytest.mark.drill
@pytest.mark.parametrize(
    ("suite", "words", "column"),
    [
        (
            "gradient",
            ["--model", "dssr", "--sizes", "8", "--batch", "1", "--network", *SMALL["dssr"]],
            "temporaries_mib",
        ),
        ("convolution-gradient", [], "gflop_per_second"),
        ("transposed-convolution", [], "median_s"),
        ("random-arrays", [], "compile_s"),
        ("kernel-estimation", ["--sizes", "200"], "gflop_per_second"),
        ("huge-image", ["--pictures", "72x64"], "peak_mib"),
    ],
)
def test_suites_of_the_package_alone(tmp_path, suite, words, column):
    (rows,) = measured(tmp_path, suite, "--repeats", "1", *words)["tables"].values()
    assert rows
    assert all(row[column] > 0 for row in rows)
