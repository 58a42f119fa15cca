import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from blindsr_jax import config as config_lib
from blindsr_jax.errors import ConfigError
from blindsr_jax.training.optimizer import learning_rate_schedule, make_optimizer
from blindsr_jax.training.setup import optimizer_of, stages_of, state_of
from blindsr_jax.training.sharding import check_batch_size, data_mesh, put_batch, replicated
from blindsr_jax.training.step import make_train_step
from tests.conftest import drilled
from tests.training.conftest import tiny_config as warming_up


def tiny_config(**overrides):
    """The tiny config without warm-up, so that the first step changes the parameters."""
    rates = {"optimizer.learning_rate": 3e-3, "optimizer.estimator_learning_rate": 1e-3}
    return warming_up(**{"optimizer.warmup": 0} | rates | overrides)


_STARTS, _UPDATES = {}, {}
"""First states of a network, on the host, and updates that were traced: runs of one config share them."""


def _start(config, mesh=None):
    key = str(config.model), config.optimizer.ema_decay > 0
    if key not in _STARTS:
        _STARTS[key] = jax.device_get(state_of(config, data_mesh()))
    return jax.device_put(jax.tree.map(np.copy, _STARTS[key]), replicated(mesh or data_mesh()))


def _update(config, mesh):
    if (str(config), mesh) not in _UPDATES:
        (stage,), options = stages_of(config), {"seed": 0, "ema_decay": config.optimizer.ema_decay}
        step = make_train_step(config_lib.network_of(config), optimizer_of(config), mesh, stage, **options)
        _UPDATES[str(config), mesh] = step
    return _UPDATES[str(config), mesh]


def _run(config, steps=1, mesh=None, spoil=None):
    mesh = mesh or data_mesh()
    state, step = _start(config, mesh), _update(config, mesh)
    if spoil:
        state = spoil(state)
    hr = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    history = []
    for _ in range(steps):
        state, metrics = step(state, put_batch(mesh, hr))
        history.append({name: float(value) for name, value in metrics.items()})
    return state, history


def test_loss_falls_on_one_batch():
    _, history = _run(tiny_config(), steps=30)
    first, last = (np.mean([h["loss"] for h in part]) for part in (history[:5], history[-5:]))
    assert last < 0.8 * first
    assert history[0]["loss"] == pytest.approx(history[0]["loss_sr"] + history[0]["loss_kernel"], rel=1e-5)


def test_a_network_in_bfloat16_has_float32_parameters():
    (_, [whole]), (state, [reduced]) = (_run(tiny_config(precision=kind)) for kind in ("float32", "bfloat16"))
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(state.params))
    assert all(leaf.dtype != jnp.bfloat16 for leaf in jax.tree.leaves(state.opt_state))
    assert whole["loss"] != reduced["loss"] == pytest.approx(whole["loss"], rel=0.05)


@pytest.mark.drill
def test_a_network_in_bfloat16_learns_as_well():
    """In CI tests/networks/test_compute.py has the accuracy of its results and gradients."""
    wider = {"optimizer.learning_rate": 3e-3, "model.features": 36}
    _, whole = _run(tiny_config(**wider), steps=30)
    _, history = _run(tiny_config(**wider, precision="bfloat16"), steps=30)
    first, last = (np.mean([h["loss"] for h in part]) for part in (history[:5], history[-5:]))
    assert last < 0.8 * first
    assert history[0]["loss"] != whole[0]["loss"]
    assert last == pytest.approx(np.mean([h["loss"] for h in whole[-5:]]), rel=0.05)


@pytest.mark.parametrize("supervise", [drilled("last"), "all"])
def test_one_and_four_devices_take_the_same_step(supervise):
    """Each of the four devices is a CPU core, where layers with many channels use another form of convolution."""
    wide = {"model.features": 36, "degradation.noise": (0.0, 10.0)}
    config = tiny_config(**{"model.supervise": supervise, **wide})
    one = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    (alone, first), (spread, second) = _run(config, 2, one), _run(config, 2)
    assert len(jax.tree.leaves(spread.params)[0].sharding.device_set) == 4
    assert first[1]["loss"] == pytest.approx(second[1]["loss"], rel=1e-5)
    for a, b in zip(jax.tree.leaves(alone.params), jax.tree.leaves(spread.params)):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_parts_of_a_batch_in_turn_give_its_gradient():
    two = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    (whole, first), (parts, second) = (_run(tiny_config(accumulate=n), 2, two) for n in (1, 2))
    assert first[1] == pytest.approx(second[1], rel=1e-5)
    for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(parts.params)):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_what_is_recomputed_is_as_configured():
    """Recomputed parts of the program name a policy for what they keep, or none when groups of blocks keep nothing."""
    policies = {}
    for what in ("nothing", "activations", "blocks"):
        program = str(_traced(tiny_config(**{"recompute": what, "model.blocks": 2})).jaxpr)
        policies[what] = set(re.findall(r"policy=(None)?", program))
    assert policies == {"nothing": set(), "activations": {""}, "blocks": {"None"}}


def _traced(config):
    """The traced update of a batch on all devices."""
    (stage,) = stages_of(config)
    mesh = data_mesh()
    step = make_train_step(config_lib.network_of(config), optimizer_of(config), mesh, stage, seed=0)
    pool, compiled = step.args[0], step.func
    return compiled.trace(pool, state_of(config, mesh), put_batch(mesh, np.zeros((4, 64, 64, 3), np.uint8)))


def test_devices_exchange_their_gradients_once_and_nothing_else():
    program = _traced(tiny_config(**{"model.features": 48})).lower().compile().as_text()
    assert len(re.findall(r"= .* all-reduce(?:-start)?\(", program)) == 1
    assert not re.search(r"\b(all-gather|all-to-all|collective-permute|reduce-scatter)(-start)?\(", program)


def test_kernels_and_noise_follow_the_step_and_the_seed():
    """With the same parameters, one batch has a different loss at every step, and every run has the same losses."""

    def loss_of(step):
        _, (history,) = _run(tiny_config(), spoil=lambda state: state.replace(step=state.step + step))
        return history["loss"]

    losses = [loss_of(step) for step in range(4)]
    assert len(set(losses)) == 4
    assert losses == [loss_of(step) for step in range(4)]


def test_the_step_donates_its_state():
    state = _start(tiny_config())
    _update(tiny_config(), mesh := data_mesh())(state, put_batch(mesh, np.zeros((4, 32, 32, 3), np.uint8)))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))


def _spoiled(state):
    params = jax.tree.map(lambda x: x, state.params)
    params["restorer"]["head"]["bias"] = params["restorer"]["head"]["bias"].at[0].set(jnp.nan)
    return state.replace(params=params)


def test_an_update_that_is_not_finite_is_skipped_and_counted():
    before = _spoiled(_start(averaged := tiny_config(**{"optimizer.ema_decay": 0.75})))
    kept = jax.tree.map(np.asarray, (before.params, before.opt_state, before.ema))
    after, history = _run(averaged, 2, spoil=_spoiled)
    for a, b in zip(jax.tree.leaves((after.params, after.opt_state, after.ema)), jax.tree.leaves(kept)):
        np.testing.assert_array_equal(a, b)
    assert (int(after.step), int(after.bad_steps), int(after.bad_in_a_row)) == (2, 2, 2)
    assert history[1]["bad_in_a_row"] == 2


def test_a_good_update_ends_the_row():
    def recovered(state):
        return state.replace(bad_in_a_row=state.bad_in_a_row + 3, bad_steps=state.bad_steps + 3)

    after, _ = _run(tiny_config(), 1, spoil=recovered)
    assert (int(after.bad_steps), int(after.bad_in_a_row)) == (3, 0)


def test_average_follows_the_parameters():
    config = tiny_config(**{"optimizer.ema_decay": 0.75})
    start = jax.tree.map(np.asarray, _start(config).params)
    after, _ = _run(config)
    for begin, now, mean in zip(*map(jax.tree.leaves, (start, after.params, after.ema))):
        np.testing.assert_allclose(mean, 0.75 * begin + 0.25 * now, atol=1e-6)
    assert after.best_params is after.ema


def test_each_module_has_its_own_learning_rate():
    config = tiny_config(**{"optimizer.ema_decay": 0.75})
    start = jax.tree.map(np.asarray, _start(config).params)
    after, _ = _run(config)
    moved = {
        k: max(np.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (start[k], after.params[k])))) for k in start
    }
    assert moved["estimator"] == pytest.approx(1e-3, rel=0.01)  # Adam's first update is the rate or less
    assert moved["restorer"] == pytest.approx(3e-3, rel=0.01)


def test_schedules():
    halve = learning_rate_schedule(2e-4, schedule="halve", steps=10, halve_every=100_000)
    assert [float(halve(s)) for s in (0, 99_999, 100_000, 250_000)] == pytest.approx([2e-4, 2e-4, 1e-4, 5e-5])
    cosine = learning_rate_schedule(1.0, schedule="cosine", steps=100, halve_every=1, warmup=10)
    assert float(cosine(0)) == 0
    assert float(cosine(5)) == pytest.approx(0.5 * np.cos(np.pi * 0.05 / 2) ** 2, rel=1e-5)
    assert float(cosine(50)) == pytest.approx(0.5)
    assert float(cosine(100)) == pytest.approx(0)


def test_clipping_bounds_the_gradient():
    params = {"restorer": jnp.ones(3), "estimator": jnp.ones(3)}
    grads = jax.tree.map(lambda x: 100 * x, params)
    # With both decays at zero Adam's first update is ±rate whatever the gradient, so look at its moments.
    optimizer = make_optimizer({"restorer": 1.0, "estimator": 1.0}, {}, b1=0.0, clip_norm=1.0)
    _, state = optimizer.update(grads, optimizer.init(params), params)
    moments = [
        s for s in jax.tree.leaves(state, is_leaf=lambda s: isinstance(s, optax.ScaleByAdamState)) if hasattr(s, "mu")
    ]
    assert moments
    total = sum(float(jnp.square(leaf).sum()) for s in moments for leaf in jax.tree.leaves(s.mu))
    assert total == pytest.approx(1.0, rel=1e-4)


def test_each_group_has_its_rate():
    """Adam's first update is the learning rate times the negative sign of the gradient."""
    params = {name: {"kernel": jnp.ones(3)} for name in ("restorer", "estimator", "refinement", "other")}
    optimizer = make_optimizer({"restorer": 1e-2, "estimator": 1e-3}, {"refinement": "estimator"})
    updates, state = optimizer.update(params, optimizer.init(params), params)
    expected = {"restorer": -1e-2, "estimator": -1e-2, "refinement": -1e-3, "other": -1e-2}
    for name, rate in expected.items():
        np.testing.assert_allclose(updates[name]["kernel"], rate, rtol=1e-4)
    assert list(state[1].inner_states) == ["restorer", "estimator"]


def test_muon_orthogonalises_convolution_kernels_and_leaves_the_rest_to_adam():
    kernels = jax.random.normal(jax.random.key(0), (2, 3, 3, 4, 8))  # of two blocks in a loop
    params = {"restorer": {"kernel": kernels, "bias": jnp.ones(3)}}
    optimizer = make_optimizer({"restorer": 1e-2}, {}, kind="muon")
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    matrices = np.asarray(updates["restorer"]["kernel"]).reshape(2, 36, 8)
    sizes = np.linalg.svd(matrices, compute_uv=False)
    given = np.linalg.svd(np.asarray(kernels).reshape(2, 36, 8), compute_uv=False)
    assert (given.max(1) / given.min(1)).min() > 2, "the gradient is far from orthogonal"
    np.testing.assert_allclose(sizes, 1e-2 * 0.2 * 36**0.5, rtol=0.35)  # five Newton-Schulz steps
    adam = optax.adam(1e-2, 0.9, 0.99, nesterov=True)  # as optax's Muon has it
    expected, _ = adam.update(params, adam.init(params), params)
    np.testing.assert_allclose(updates["restorer"]["bias"], expected["restorer"]["bias"], rtol=1e-4)


@pytest.mark.parametrize(
    ("network", "part"), [("danv1", "estimator"), ("danv2", "estimator"), ("kernelnet", "refinement")]
)
def test_networks_name_the_part_with_its_own_rate(network, part):
    config = config_lib.default(network, 2)
    config.optimizer.update(learning_rate=1e-2, warmup=0, **{f"{part}_learning_rate": 1e-3})
    optimizer = optimizer_of(config)
    params = {"restorer": jnp.ones(3), part: jnp.ones(3)}
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    np.testing.assert_allclose(updates["restorer"] / updates[part], 10, rtol=1e-3)


def test_batch_must_split_evenly():
    with pytest.raises(ConfigError, match="4 or 8"):
        check_batch_size(data_mesh(), 6)
    check_batch_size(data_mesh(), 8)
    with pytest.raises(ConfigError, match="4 devices, each in 2 parts: take 8 or 16"):
        check_batch_size(data_mesh(), 12, accumulate=2)


def test_cores_become_devices_that_share_a_batch_evenly():
    def devices(batch_size, cores, **variables):
        code = f"""if True:
            import os
            os.sched_getaffinity = lambda process: set(range({cores}))
            from blindsr_jax.training import sharding
            sharding.use_all_cores({batch_size})
            mesh = sharding.data_mesh()
            print(mesh.size, sharding.device_is_core(mesh))"""
        environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"} | variables
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout

    assert devices(9, 4) == "3 False\n"
    assert devices(16, 4) == "4 True\n"
    assert devices(16, 4, JAX_NUM_CPU_DEVICES="2") == "2 False\n"
