import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.errors import ConfigError, DataError
from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.resunet import ResUNet
from blindsr_jax.ops.fft import data_solution, per_shard
from blindsr_jax.ops.resize import upsample_nearest
from blindsr_jax.training.sharding import data_mesh, replicated, split
from tests.conftest import drilled

TINY = {"iterations": 6, "hyper_features": 32, "features": (16, 32, 64, 64), "blocks": 2}
SMALL = {"iterations": 3, "hyper_features": 4, "features": (4, 4, 6, 6), "blocks": 1}


@functools.cache
def _small(**sizes):
    network = build("usrnet", **SMALL | sizes)
    return network, init_variables(network, jax.random.key(0, impl="rbg"))


def _apply(network, variables, lr, **options):
    static = {name: options.pop(name) for name in ("scale", "iterations", "trace") if name in options}
    return jax.jit(lambda v, x, o: network.apply(v, x, **o, **static))(variables, lr, options)


def _schedule(network, variables, sigma, scale):
    return network.apply(variables, sigma, scale, method=lambda network, *given: network.hyper(*given))


def _lr(batch=2, height=7, width=9):
    return jax.random.uniform(jax.random.key(2), (batch, height, width, 3))


def _kernel(batch=2, size=5):
    kernel = jax.random.uniform(jax.random.key(3), (batch, size, size))
    return kernel / kernel.sum(axis=(1, 2), keepdims=True)


@pytest.mark.parametrize(
    ("name", "sizes", "count"),
    [("usrnet", {}, 17_016_016), ("usrnet", TINY, 590_332), ("drunet", {}, 32_640_960), ("dpir", {}, 32_640_960)],
)
def test_published_sizes(name, sizes, count):
    shapes = jax.eval_shape(lambda: init_variables(build(name, **sizes), jax.random.key(0)))
    assert sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(shapes["params"])) == count


@pytest.mark.parametrize("scale", [1, drilled(2), 3, drilled(4)])
def test_one_network_serves_all_scales_and_odd_sizes(scale):
    out = _apply(*_small(), _lr(), kernel=_kernel(), scale=scale, sigma=0.02, trace=True)
    assert out.sr.shape == (2, 7 * scale, 9 * scale, 3)
    assert out.trace.sr.shape == (3, *out.sr.shape)
    np.testing.assert_array_equal(out.trace.sr[-1], out.sr)
    np.testing.assert_array_equal(out.kernel, _kernel())
    assert jnp.isfinite(out.sr).all()


def test_steps_are_those_of_the_paper():
    """The loop equals explicit data steps with alpha and priors with beta, from the enlarged LR image."""
    network, variables = _small()
    sigma = jnp.array([0.0, 0.1])
    steps = _apply(network, variables, _lr(), kernel=_kernel(), scale=2, sigma=sigma, trace=True).trace.sr
    alpha, beta = _schedule(network, variables, sigma, 2)
    assert alpha.shape == beta.shape == (3, 2)
    prior = {"params": variables["params"]["prior"]}
    x = upsample_nearest(_lr(), 2)
    for i in range(3):
        z = data_solution(x, _lr(), _kernel(), alpha[i], 2)
        level = jnp.broadcast_to(beta[i][:, None, None, None], (*z.shape[:3], 1))
        x = ResUNet((4, 4, 6, 6), 1).apply(prior, jnp.concatenate([z, level], axis=-1))
        np.testing.assert_allclose(steps[i], x, atol=1e-5)


def test_weights_of_the_steps_are_softplus_plus_a_millionth():
    network, variables = _small()
    biases = jnp.array([-100.0, 0.0, 2.0, -100.0, 1.0, 30.0])
    last = {"kernel": jnp.zeros((1, 1, 4, 6)), "bias": biases}
    hyper = variables["params"]["hyper"] | {"fc3": last}
    alpha, beta = _schedule(network, {"params": variables["params"] | {"hyper": hyper}}, jnp.zeros(1), 2)
    want = np.log1p(np.exp(np.float64(biases))) + 1e-6
    np.testing.assert_allclose(jnp.concatenate([alpha, beta])[:, 0], want, rtol=1e-6)


def test_each_image_is_restored_by_itself():
    """Each image has its noise level and kernel, and one kernel can be shared by all images."""
    network, variables = _small()
    sigma = jnp.array([0.0, 0.1])
    together = _apply(network, variables, _lr(), kernel=_kernel(), scale=2, sigma=sigma).sr
    alone = _apply(network, variables, _lr()[1:], kernel=_kernel()[1:], scale=2, sigma=0.1).sr
    np.testing.assert_allclose(together[1:], alone, atol=1e-5)
    shared = _apply(network, variables, _lr(), kernel=_kernel()[:1], scale=2, sigma=sigma)
    np.testing.assert_allclose(shared.sr[:1], together[:1], atol=1e-5)
    assert shared.kernel.shape == (2, 5, 5)


def test_kernel_noise_level_and_scale_are_heeded():
    network, variables = _small()
    base = {"kernel": _kernel(), "scale": 2, "sigma": 0.0}
    out = _apply(network, variables, _lr(), **base).sr
    for change in ({"kernel": _kernel()[:, ::-1]}, {"sigma": 0.2}):
        assert float(jnp.abs(_apply(network, variables, _lr(), **base | change).sr - out).max()) > 1e-5
    (twice, _), (thrice, _) = (_schedule(network, variables, jnp.zeros(1), s) for s in (2, 3))
    assert float(jnp.abs(twice - thrice).max()) > 1e-5


def test_other_numbers_of_steps_spread_the_schedule():
    """With more or fewer steps than n, the first and last weights stay and the others are interpolated."""
    network, variables = _small()
    options = {"kernel": _kernel(), "scale": 2, "sigma": 0.0}
    default = _apply(network, variables, _lr(), **options)
    np.testing.assert_array_equal(_apply(network, variables, _lr(), iterations=3, **options).sr, default.sr)
    longer = _apply(network, variables, _lr(), iterations=5, trace=True, **options).trace.sr
    assert longer.shape[0] == 5
    first = _apply(network, variables, _lr(), trace=True, **options).trace.sr[0]
    np.testing.assert_allclose(longer[0], first, atol=1e-6)
    assert _apply(network, variables, _lr(), iterations=1, **options).sr.shape == default.sr.shape


def test_differentiable():
    network, variables = _small()

    def loss(params, lr, kernel, sigma):
        return jnp.square(network.apply({"params": params}, lr, kernel=kernel, scale=2, sigma=sigma).sr).mean()

    arguments = (variables["params"], jnp.zeros((1, 4, 4, 3)), jnp.zeros((1, 3, 3)).at[0, 1, 1].set(1.0), 0.0)
    for leaf in jax.tree.leaves(jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))(*arguments)):
        assert jnp.isfinite(leaf).all()


def test_training_goes_through_all_steps():
    """Unrolled steps give the same image and gradient as the loop."""
    network, variables = _small()
    known = {"kernel": _kernel(), "scale": 2, "sigma": jnp.array([0.0, 0.1])}
    hr = jax.random.uniform(jax.random.key(4), (2, 14, 18, 3))

    def unrolled(params):
        (last,) = network.apply({"params": params}, _lr(), **known, method="training_steps")
        return jnp.abs(last.sr - hr).mean()

    def looped(params):
        return jnp.abs(network.apply({"params": params}, _lr(), **known).sr - hr).mean()

    (one, grads), (other, wanted) = (jax.jit(jax.value_and_grad(f))(variables["params"]) for f in (unrolled, looped))
    assert float(one) == pytest.approx(float(other), rel=1e-5)
    for got, want in zip(jax.tree.leaves(grads), jax.tree.leaves(wanted)):
        np.testing.assert_allclose(got, want, atol=1e-5 * max(1.0, float(jnp.abs(want).max())))
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))


@pytest.mark.parametrize("scale", [1, drilled(2), drilled(3), drilled(4)])
def test_gradients_without_noise_are_finite_at_all_scales(scale):
    """One image needs no restoration: it is flat, and its kernel is Dirac."""
    network, variables = _small()
    kernels = jnp.stack([jnp.zeros((5, 5)).at[2, 2].set(1.0), _kernel()[1]])
    lr = jnp.stack([jnp.full((7, 9, 3), 0.5), _lr()[1]])

    def loss(params):
        known = {"kernel": kernels, "scale": scale, "sigma": jnp.zeros(2)}
        (last,) = network.apply({"params": params}, lr, **known, method="training_steps")
        return jnp.abs(last.sr - 0.5).mean()

    for leaf in jax.tree.leaves(jax.jit(jax.grad(loss))(variables["params"])):
        assert jnp.isfinite(leaf).all()


def test_before_training_the_weights_of_the_steps_rise_with_the_noise_level():
    network = build("usrnet", **TINY)
    variables = init_variables(network, jax.random.key(0, impl="rbg"))
    for scale in (1, 4):
        for weights in _schedule(network, variables, jnp.array([0.0, 0.05, 0.1]), scale):
            assert (jnp.diff(weights, axis=1) > 0).all()
            assert weights[:, 0].max() < 0.05 and weights[:, 2].min() > 0.2


def test_before_training_the_prior_nearly_returns_the_image():
    prior = ResUNet((16, 32, 64, 64), 2)
    x = jax.random.uniform(jax.random.key(0), (2, 24, 24, 4))
    out = prior.apply(prior.init(jax.random.key(1, impl="rbg"), x), x)
    assert 0 < float(jnp.abs(out - x[..., :3]).mean()) < 0.05


@pytest.mark.parametrize("name", ["usrnet", "dpir"])
def test_data_parallel_without_communication(name):
    mesh = data_mesh()
    network, variables = _small() if name == "usrnet" else (build("dpir", denoiser="total_variation", iterations=2), {})

    def restore(variables, lr, kernel):
        return network.apply(variables, lr, kernel=kernel, scale=2).sr

    def split_restore(variables, lr, kernel):
        return per_shard(lambda lr, kernel: restore(variables, lr, kernel), mesh)(lr, kernel)

    arrays = (_lr(4), _kernel(4))
    on_devices = (jax.device_put(variables, replicated(mesh)), *jax.device_put(arrays, split(mesh)))
    program = jax.jit(split_restore).lower(*on_devices).compile()
    assert not re.findall(r"all-gather|all-reduce|reduce-scatter|collective-permute|all-to-all", program.as_text())
    np.testing.assert_allclose(program(*on_devices), jax.jit(restore)(variables, *arrays), atol=1e-5)


@pytest.mark.parametrize("scale", [0, 5, 2.5])
def test_unknown_scales_are_named(scale):
    with pytest.raises(DataError, match="1, 2, 3, 4"):
        _apply(*_small(), _lr(), kernel=_kernel(), scale=scale)


def test_sizes_that_are_no_whole_multiple_repeat_their_border():
    unet = ResUNet((4, 4, 6, 6), 1)
    x = jax.random.uniform(jax.random.key(0), (1, 11, 13, 4))
    variables = unet.init(jax.random.key(1), x)
    padded = jnp.asarray(np.pad(x, ((0, 0), (0, 5), (0, 3), (0, 0)), mode="edge"))
    np.testing.assert_allclose(unet.apply(variables, x), unet.apply(variables, padded)[:, :11, :13], atol=1e-6)


@pytest.mark.parametrize("bias", [False, True])
def test_denoiser_is_told_the_noise_level_of_each_image(bias):
    denoiser = build("drunet", features=[4, 4, 6, 6], blocks=1, bias=bias)
    variables = init_variables(denoiser, jax.random.key(0, impl="rbg"))
    x = _lr(2, 9, 13)
    together = denoiser.apply(variables, x, jnp.array([0.0, 0.2]))
    assert together.shape == x.shape
    np.testing.assert_allclose(together[1:], denoiser.apply(variables, x[1:], 0.2), atol=1e-6)
    assert float(jnp.abs(together[1:] - denoiser.apply(variables, x[1:], 0.0)).max()) > 1e-5
    assert any("bias" in str(path) for path, _ in jax.tree_util.tree_leaves_with_path(variables)) == bias


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("usrnet", {"features": (64,)}, "list of positive whole numbers"),
        ("usrnet", {"features": 64}, "list of positive whole numbers"),
        ("usrnet", {"features": (64, 0, 3, 1)}, "list of positive whole numbers"),
        ("usrnet", {"scale": 4}, "has no scale"),
        ("drunet", {"bias": 1}, "True or False"),
        ("drunet", {"blocks": True}, "whole number of at least 1"),
        ("dpir", {"denoiser": "wiener"}, "drunet, total_variation"),
    ],
)
def test_wrong_sizes_are_named(name, sizes, message):
    with pytest.raises(ConfigError, match=message):
        build(name, **sizes)
