"""Training of USRNet by the common command and loop: random scales, given blur and noise, no gathered batch."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from blindsr_jax import cli
from blindsr_jax import config as config_lib
from blindsr_jax.degradations.pipeline import degrade
from blindsr_jax.errors import Interrupted
from blindsr_jax.inference.loading import load
from blindsr_jax.inference.solver import Solver
from blindsr_jax.training import loop
from blindsr_jax.training.kernels import held_out_protocol, pools_of
from blindsr_jax.training.loop import train
from blindsr_jax.training.results import best_state, evaluated_config, write_results
from blindsr_jax.training.setup import optimizer_of, stages_of, state_of, updates_of
from blindsr_jax.training.sharding import data_mesh, put_batch, replicated
from blindsr_jax.training.step import make_train_step, scale_of_step
from tests.conftest import drilled

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def tiny_config(**overrides):
    """A run that takes seconds. With this seed its first steps have scales 3, 2, 2 and 2."""
    config = config_lib.default("usrnet", 2)
    config.steps = 4
    config.model.update(iterations=2, hyper_features=4, features=(4, 6), blocks=1, scales=(2, 3))
    config.data.update(batch_size=4, patch=15)
    config.optimizer.learning_rate = 1e-3
    config.checkpoint.every = 10
    config.validation.update(every=100, images=1, crop=64, widths=1)
    config.log_every = 2
    config.update_from_flattened_dict(overrides)
    config_lib.validate(config)
    return config


def _assert_equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        np.testing.assert_array_equal(x, y)


def _hr(side=30):
    blocks = np.random.default_rng(0).integers(0, 256, (4, side // 5, side // 5, 3), np.uint8)
    return blocks.repeat(5, 1).repeat(5, 2)


def test_scales_follow_seed_and_step_and_all_occur():
    scales = (1, 2, 3, 4)
    drawn = [scale_of_step(3, step, scales) for step in range(1, 401)]
    assert drawn == [scale_of_step(3, step, scales) for step in range(1, 401)]
    assert drawn != [scale_of_step(4, step, scales) for step in range(1, 401)]
    shares = [drawn.count(scale) / 400 for scale in scales]
    assert min(shares) > 0.18 and max(shares) < 0.32
    assert {scale_of_step(3, step, (2,)) for step in range(9)} == {2}


def test_an_update_has_the_scale_of_its_step():
    """The network also gets the kernels and noise levels of its images."""
    config, mesh = tiny_config(**{"optimizer.learning_rate": 0.0}), data_mesh()
    (stage,), network, state = stages_of(config), config_lib.network_of(config), state_of(config, mesh)
    params, update_of = jax.tree.map(np.asarray, state.params), updates_of(config, mesh)
    hr = _hr()
    levels = []
    for step in (1, 2):
        state, metrics = update_of(step)(state, put_batch(mesh, hr))
        scale = scale_of_step(config.seed, step, (2, 3))
        key = jax.random.fold_in(jax.random.key(config.seed), step - 1)
        options = {"steps": stage.degradation, "kernel_size": stage.kernel_size, "pool": jnp.asarray(stage.pool)}
        made = degrade(key, jnp.float32(hr) / 255, scale=scale, **options)
        context = {"kernel": made.kernel, "sigma": made.sigma, "scale": scale}
        sr = jax.jit(lambda v, x, k, s, scale=scale: network.apply(v, x, kernel=k, sigma=s, scale=scale).sr)(
            {"params": params}, made.lr, context["kernel"], context["sigma"]
        )
        assert sr.shape == hr.shape
        assert float(metrics["loss"]) == pytest.approx(float(jnp.abs(sr - jnp.float32(hr) / 255).mean()), rel=1e-4)
        assert metrics["loss"] == metrics["loss_sr"]
        levels += made.sigma.tolist()
    assert [scale_of_step(config.seed, step, (2, 3)) for step in (1, 2)] == [3, 2]
    assert len(set(levels) - {0.0}) > 4 and max(levels) <= 25 / 255


def _update(mesh):
    config = tiny_config()
    state = jax.device_put(state_of(config, data_mesh()), replicated(mesh))
    return updates_of(config, mesh)(1)(state, put_batch(mesh, _hr()))


@pytest.mark.drill
def test_one_and_four_devices_take_the_same_step():
    """test_kernelnet.py has it for the other network with a data step, test_step.py for DAN."""
    one = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    (alone, first), (spread, second) = _update(one), _update(data_mesh())
    assert len(jax.tree.leaves(spread.params)[0].sharding.device_set) == 4
    for name in ("loss", "grad_norm"):
        assert float(first[name]) == pytest.approx(float(second[name]), rel=1e-4), name
    for a, b in zip(jax.tree.leaves(alone.params), jax.tree.leaves(spread.params)):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("scale", [drilled(1), 3])
def test_devices_exchange_gradients_and_no_images(scale):
    """As for KernelNet, each device transforms only its own images."""
    config, mesh = tiny_config(), data_mesh()
    options = {"seed": 0, "scale": scale}
    step = make_train_step(config_lib.network_of(config), optimizer_of(config), mesh, *stages_of(config), **options)
    batch = put_batch(mesh, np.zeros((4, 30, 30, 3), np.uint8))
    compiled = step.func.lower(*step.args, state_of(config, mesh), batch).compile().as_text()
    assert re.search(r"\ball-reduce(-start)?\(", compiled)
    assert re.search(r"\bfft\(", compiled)
    assert not re.search(r"\b(all-gather|all-to-all|collective-permute)(-start)?\(", compiled)


@pytest.mark.drill
def test_resuming_changes_no_bit(tmp_path, monkeypatch):
    whole = train(tiny_config(**{"optimizer.ema_decay": 0.9}), tmp_path / "whole")

    class StopAtOne(loop.StopRequest):
        received = property(lambda self: "SIGINT", lambda self, value: None)

    monkeypatch.setattr(loop, "StopRequest", StopAtOne)
    with pytest.raises(Interrupted, match="saved step 1"):
        train(tiny_config(**{"optimizer.ema_decay": 0.9}), tmp_path / "parts")
    monkeypatch.undo()
    resumed = train(tiny_config(**{"optimizer.ema_decay": 0.9}), tmp_path / "parts")
    assert int(resumed.step) == 4
    _assert_equal(whole, resumed)


def _error(solver, photo, kernel):
    """Mean absolute error of a very noisy photograph restored at ×2."""
    hr = jnp.float32(photo)[None] / 255
    options = {"downsample": "s_fold", "blur_mode": "circular", "noise": (80.0, 80.0)}
    made = degrade(jax.random.key(0), hr, scale=2, kernel=jnp.asarray(kernel)[None], **options)
    return float(jnp.abs(solver(made.lr, kernel=kernel, scale=2, sigma=80 / 255).sr - hr).mean())


def test_it_learns_and_leaves_a_solver(tmp_path, photo):
    """Thirty updates remove a third of heavy noise, and the resulting solver restores and is scored at any scale."""
    (tmp_path / "hr").mkdir()
    Image.fromarray(photo).save(tmp_path / "hr" / "photo.png")
    where = {"validation.source": "folder", "validation.root": str(tmp_path / "hr")}
    noise = {"degradation.noise": (80.0, 80.0), "degradation.noise_free_rate": 0.0}
    config = tiny_config(**{"steps": 30, "optimizer.learning_rate": 5e-3, "optimizer.clip_norm": 1.0} | noise | where)
    untrained, workdir = state_of(config, data_mesh()), tmp_path / "run"
    train(config, workdir)
    summary = write_results(evaluated_config(config, workdir), workdir)
    assert (summary["protocol"], summary["scale"], summary["model"]) == ("s_fold_circular", 2, "usrnet")
    assert (summary["images"], summary["rows"], summary["steps"]) == (1, 8, 30)
    assert json.loads((workdir / "report.json").read_text())["psnr_y"] == summary["psnr_y"]
    for name in ("panel.png", "restored/lr.png", "restored/sr.png", "panels/step_0000030.png"):
        assert (workdir / name).is_file()

    solver = load(workdir)
    assert isinstance(solver, Solver)
    _assert_equal(solver.variables["params"], best_state(config, workdir).best_params)
    assert solver.metadata["scores"] == {"s_fold_circular ×2, hr": summary["psnr_y"]}
    kernel = pools_of(config).test[0]
    before = Solver(solver.module, {"params": untrained.params, "constants": {}})
    assert _error(solver, photo, kernel) < 0.85 * _error(before, photo, kernel)

    another = tiny_config(**{"model.scale": 3, "data.patch": 16})
    assert evaluated_config(another, workdir).model.scale == 3
    assert evaluated_config(another, workdir).data.patch == 15
    np.save(tmp_path / "k.npy", kernel)
    model = ["--model", str(workdir), "--scale", "3"]
    options = ["--kernel", str(tmp_path / "k.npy"), "-o", str(tmp_path / "sr.png")]
    assert cli.main(["restore", str(tmp_path / "hr" / "photo.png"), *model, *options]) == 0
    with Image.open(tmp_path / "sr.png") as picture:
        assert picture.size == (3 * photo.shape[1], 3 * photo.shape[0])
    protocol = ["--protocol", "s_fold_circular", "--kernels", str(tmp_path / "k.npy"), "--kernel", "true"]
    assert cli.main(["evaluate", *model, *protocol, "--data", str(tmp_path / "hr"), "-o", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["scale"] == 3


def test_kernels_off_centre_may_be_in_a_pool_of_ones_own(tmp_path):
    """A given kernel may be off-centre, because the network does not estimate the shift. One pool serves all scales."""
    kernels = np.zeros((5, 9, 9))
    kernels[np.arange(5), np.arange(5), 6] = 1
    np.save(tmp_path / "pool.npy", kernels)
    config = tiny_config(**{"degradation.pool": str(tmp_path / "pool.npy")})
    parts = pools_of(config)
    assert (parts.train.shape, parts.test.shape) == ((4, 25, 25), (1, 25, 25))
    assert held_out_protocol(config).scale == 2
    ours = [pools_of(tiny_config(**{"model.scale": scale, "data.patch": 18})).train for scale in (2, 4)]
    np.testing.assert_array_equal(*ours)
