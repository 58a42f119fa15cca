"""Training of the networks that learn a degradation's numbers, KernelDAN and RealDAN, and of IKC in its two stages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import config as config_lib
from blindsr_jax import degradations
from blindsr_jax.errors import ConfigError, Interrupted
from blindsr_jax.losses import degradation_supervision
from blindsr_jax.networks import build, init_variables
from blindsr_jax.training import loop
from blindsr_jax.training.loop import train
from blindsr_jax.training.setup import state_of, updates_of
from blindsr_jax.training.sharding import data_mesh, put_batch
from blindsr_jax.training.step import supervised_loss
from tests.conftest import drilled

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def tiny_config(name, scale=2, **overrides):
    """Very small networks; half of IKC's steps are of its first stage."""
    config = config_lib.default(name, scale)
    config.steps = 6
    config.model.update(features=8, blocks=1, iterations=2)
    if name == "ikc":
        config.model.update(sftmd_steps=3, predictor_features=8, corrector_features=8, code_length=4)
        config.degradation.kernel_size = 11
    rates = [name for name in config.optimizer if name.endswith("learning_rate")]
    config.optimizer.update(dict.fromkeys(rates, 2e-3))
    config.data.update(batch_size=4, patch=16)
    config.checkpoint.every = 10
    config.validation.update(every=10, images=1, crop=64, widths=1)
    config.update_from_flattened_dict(overrides)
    config_lib.validate(config)
    return config


def _assert_equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        np.testing.assert_array_equal(x, y)


def _stop_at(step):
    """A StopRequest whose signal arrives in a step. The loop reads it twice per step."""

    class Stop(loop.StopRequest):
        polls = 0

        @property
        def received(self):
            Stop.polls += 1
            return "SIGINT" if Stop.polls >= 2 * step else None

        @received.setter
        def received(self, value):
            pass

    return Stop


@pytest.mark.drill
@pytest.mark.parametrize("name", ["kerneldan", "ikc"])
def test_a_resumed_run_is_the_same(tmp_path, monkeypatch, name):
    """IKC's is stopped between its stages."""
    whole = train(tiny_config(name), tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(loop, "StopRequest", _stop_at(3))
        with pytest.raises(Interrupted, match="saved step 3"):
            train(tiny_config(name), tmp_path / "parts")
    _assert_equal(whole, train(tiny_config(name), tmp_path / "parts"))


def _train_on_one_batch(config, steps):
    """Yield the state and the metrics of each step."""
    mesh, scale = data_mesh(), config.model.scale
    state, update_of = state_of(config, mesh), updates_of(config, mesh)
    hr = np.random.default_rng(0).integers(0, 256, (4, 4 * scale, 4 * scale, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    for step in range(1, steps + 1):
        state, metrics = update_of(step)(state, put_batch(mesh, hr))
        yield jax.device_get(state.params), jax.device_get(metrics)


@pytest.mark.parametrize(("name", "scale"), [("kerneldan", 2), drilled("realdan", 4)])
def test_the_loss_falls_in_both_parts(name, scale):
    found = [metrics for _, metrics in _train_on_one_batch(tiny_config(name, scale, steps=40), 40)]
    for part in ("loss_sr", "loss_degradation"):
        first, last = (np.mean([metrics[part] for metrics in part_of]) for part_of in (found[:5], found[-5:]))
        assert last < 0.95 * first, part
    assert found[0]["loss"] == pytest.approx(found[0]["loss_sr"] + found[0]["loss_degradation"], rel=1e-5)


def test_ikc_trains_sftmd_first_and_then_the_others_alone():
    narrow = {"degradation.sigma": (1.5, 2.5)}  # whose codes are alike, so that losses of few steps can be compared
    config = tiny_config("ikc", **narrow | {"steps": 60, "model.sftmd_steps": 30})
    params, found = zip(*_train_on_one_batch(config, 60))
    start, middle, end = params[0], params[29], params[59]
    for part in ("predictor", "estimator"):
        _assert_equal(start[part], middle[part])
        assert all(np.any(a != b) for a, b in zip(*(jax.tree.leaves(x[part]) for x in (middle, end))))
    assert all(np.any(a != b) for a, b in zip(*(jax.tree.leaves(x["restorer"]["head1"]) for x in (start, middle))))
    _assert_equal(middle["restorer"], end["restorer"])  # also without a drift from Adam's momentum
    assert found[29]["loss"] == found[29]["loss_sr"] < 0.8 * found[0]["loss"]
    assert found[29].keys() - found[30].keys() == {"loss_sr"}
    early, late = (np.mean([metrics["loss"] for metrics in part]) for part in (found[30:35], found[-10:]))
    assert late < 0.8 * early


@pytest.mark.drill
def test_sftmd_alone_may_come_from_elsewhere():
    """Without the first stage its rate is zero from the beginning."""
    config = tiny_config("ikc", **{"model.sftmd_steps": 0})
    (first, _), (second, metrics) = _train_on_one_batch(config, 2)
    _assert_equal(first["restorer"], second["restorer"])
    assert set(metrics) >= {"loss_predicted", "loss_corrected"}


def test_the_gradient_goes_through_all_steps():
    """It is that of the network as it is called, whose steps are not unrolled. The last step alone gives another."""
    network = build("kerneldan", scale=2, features=4, blocks=1, iterations=3)
    variables = init_variables(network, jax.random.key(0, impl="rbg"))
    hr = jax.random.uniform(jax.random.key(1), (2, 16, 16, 3))
    degraded = degradations.degrade(jax.random.key(2), hr, scale=2, kernel="kerneldan", kernel_size=11)

    def unrolled(variables, supervise):
        return supervised_loss(network, variables, hr, degraded, loss=degradation_supervision, supervise=supervise)[0]

    def called(variables):
        out, truth = network.apply(variables, degraded.lr), network.apply(variables, hr, degraded, method="targets")
        return jnp.abs(out.sr - hr).mean() + jnp.square(out.degradation - truth.degradation).mean()

    (value, got), (_, last) = (
        jax.jit(jax.value_and_grad(unrolled), static_argnums=1)(variables, supervise)
        for supervise in ("last_through_all", "last")
    )
    want_value, want = jax.jit(jax.value_and_grad(called))(variables)
    assert value == pytest.approx(float(want_value), rel=1e-5)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want)):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max() + 1e-7)
    assert np.abs(last["params"]["image_head"]["kernel"]).max() == 0
    assert np.abs(got["params"]["image_head"]["kernel"]).max() > 0


def test_other_degradations_are_refused():
    with pytest.raises(ConfigError, match=r"degradation\.kernel must be one of kerneldan, got 'anisotropic'"):
        tiny_config("kerneldan", **{"degradation.kernel": "anisotropic"})
    config = tiny_config("realdan", 4, **{"degradation.steps": "classic(kernels=kerneldan())"})
    with pytest.raises(ConfigError, match="RealDAN learns to find the 42 numbers"):
        next(_train_on_one_batch(config, 1))


def test_recipes():
    config = config_lib.default("kerneldan", 4)
    assert (config.steps, config.data.batch_size, config.data.patch) == (600_000, 64, 48)
    assert (tuple(config.degradation.sigma), config.degradation.kernel_size) == ((0.6, 5.0), 31)
    assert config.model.supervise == "last_through_all"
    assert tuple(config.optimizer.halve_at) == (300_000, 500_000)
    assert config_lib.default("kerneldan", 2).optimizer.ema_decay == 0 != config.optimizer.ema_decay
    config = config_lib.default("ikc", 3)
    assert config_lib.stage_ends(config) == [500_000, 505_000]
    assert tuple(config.degradation.sigma) == (0.2, 4.0)
