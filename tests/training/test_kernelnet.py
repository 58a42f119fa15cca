"""Training of KernelNet by the common command and loop: two stages, kernels only, no gathered batch."""

import json
import re

import jax
import numpy as np
import pytest

from blindsr_jax import config as config_lib
from blindsr_jax.degradations import pools
from blindsr_jax.degradations.size_steps import Downsample
from blindsr_jax.errors import ConfigError, DataError, Interrupted
from blindsr_jax.inference.loading import load
from blindsr_jax.metrics import kernel_l1
from blindsr_jax.training import loop
from blindsr_jax.training.kernels import held_out_protocol, pools_of
from blindsr_jax.training.loop import train
from blindsr_jax.training.optimizer import learning_rate_schedule, restarting_schedule
from blindsr_jax.training.results import best_state, write_results
from blindsr_jax.training.setup import optimizer_of, stages_of, state_of
from blindsr_jax.training.sharding import data_mesh, put_batch, replicated
from blindsr_jax.training.step import make_train_step
from tests.conftest import drilled
from tests.drawn_pictures import draw_pictures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def tiny_config(**overrides):
    """A run that takes seconds, with three of its six steps in the first stage."""
    config = config_lib.default("kernelnet", 2)
    config.steps = 6
    config.model.update(width=4, refine_features=3, gradient_steps=3)
    config.data.update(batch_size=4, patch=16)
    config.optimizer.learning_rate = 1e-3
    config.checkpoint.every = 10
    config.validation.update(every=10, images=1, crop=64, widths=1)
    config.log_every = 2
    config.update_from_flattened_dict(overrides)
    config_lib.validate(config)
    return config


def _assert_equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        np.testing.assert_array_equal(x, y)


def _stop_after(steps):
    """A StopRequest whose signal arrives in a given step. The loop reads it twice per step."""

    class Stop(loop.StopRequest):
        polls = 0

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            pass

        @property
        def received(self):
            self.polls += 1
            return "SIGINT" if self.polls >= 2 * steps else None

        @received.setter
        def received(self, value):
            pass

    return Stop


@pytest.mark.parametrize("stops", [[(3, 3)], drilled([(2, 2), (1, 3)])], ids=str)
def test_resuming_within_a_stage_and_between_them_changes_no_bit(tmp_path, monkeypatch, stops):
    """The run is stopped at the end of the first stage; in the drill also in the middle of it."""
    options = {"optimizer.ema_decay": 0.9, "optimizer.schedule": "cosine", "optimizer.warmup": 2}
    whole = train(tiny_config(**options), tmp_path / "whole")
    for steps, saved in stops:
        monkeypatch.setattr(loop, "StopRequest", _stop_after(steps))
        with pytest.raises(Interrupted, match=f"saved step {saved}"):
            train(tiny_config(**options), tmp_path / "parts")
    monkeypatch.undo()
    resumed = train(tiny_config(**options), tmp_path / "parts")
    assert int(resumed.step) == 6
    _assert_equal(whole, resumed)


_STEPS = {}
"""Steps that were traced: tests of one config, stage and mesh share them."""


def _step(config, number, mesh):
    key = str(config), number, mesh
    if key not in _STEPS:
        network, stage = config_lib.network_of(config), stages_of(config)[number]
        _STEPS[key] = make_train_step(network, optimizer_of(config), mesh, stage, seed=0)
    return _STEPS[key]


def _update(stage_number, mesh=None, state=None, **overrides):
    config, mesh = tiny_config(**overrides), mesh or data_mesh()
    state = jax.device_put(state_of(config, data_mesh()) if state is None else state, replicated(mesh))
    step = _step(config, stage_number, mesh)
    hr = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    return step(state, put_batch(mesh, hr))


def test_the_first_stage_trains_the_gradient_module_alone():
    start = jax.tree.map(np.asarray, state_of(tiny_config(), data_mesh()).params)
    first, metrics = _update(0)
    params = jax.tree.map(np.asarray, first.params)
    _assert_equal(start["refinement"], params["refinement"])
    assert all(np.any(a != b) for a, b in zip(*(jax.tree.leaves(x["gradient_module"]) for x in (start, params))))
    assert metrics["loss"] == metrics["loss_gradients"] > 0
    second, metrics = _update(1, state=first)
    assert all(np.any(a != b) for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(second.params)))
    assert metrics["loss"] == metrics["loss_kernel"]
    assert 0 < metrics["loss"] < 2


def test_stages_differ_in_loss_and_downsampling():
    first, last = stages_of(tiny_config())
    assert (first.until, last.until) == (3, 6)
    kinds = [step.kind for stage in (first, last) for step in stage.degradation if isinstance(step, Downsample)]
    assert kinds == ["bicubic", "s_fold"]
    np.testing.assert_array_equal(first.pool, pools_of(tiny_config()).train)
    assert [stage.until for stage in stages_of(tiny_config(**{"model.gradient_steps": 0}))] == [6]


@pytest.mark.parametrize("stage", [drilled(0), 1])
def test_one_and_four_devices_take_the_same_step(stage):
    one = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    (alone, first), (spread, second) = _update(stage, one), _update(stage)
    assert len(jax.tree.leaves(spread.params)[0].sharding.device_set) == 4
    for name in ("loss", "grad_norm"):
        assert float(first[name]) == pytest.approx(float(second[name]), rel=1e-4), name
    for a, b in zip(jax.tree.leaves(alone.params), jax.tree.leaves(spread.params)):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize(("stage", "transforms"), [drilled(0, False), (1, True)])
def test_devices_exchange_gradients_and_no_images(stage, transforms):
    """XLA cannot always split FFTs along the batch: with jax 0.10 and without ``shard_map`` it gathers the batch."""
    config, mesh = tiny_config(), data_mesh()
    step = make_train_step(config_lib.network_of(config), optimizer_of(config), mesh, stages_of(config)[stage], seed=0)
    batch = put_batch(mesh, np.zeros((4, 32, 32, 3), np.uint8))
    compiled = step.func.lower(*step.args, state_of(config, mesh), batch).compile().as_text()
    assert re.search(r"\ball-reduce(-start)?\(", compiled)
    assert not re.search(r"\b(all-gather|all-to-all|collective-permute)(-start)?\(", compiled)
    assert bool(re.search(r"\bfft\(", compiled)) == transforms, "the first stage has no kernel to solve for"


def test_the_schedule_restarts_with_the_second_stage():
    options = {"schedule": "cosine", "halve_every": 1, "warmup": 4}
    rate = restarting_schedule(1.0, [20, 50], **options)
    for start, length in ((0, 20), (20, 30)):
        alone = learning_rate_schedule(1.0, steps=length, **options)
        for step in (0, 3, 4, 11, length - 1):
            assert float(rate(start + step)) == pytest.approx(float(alone(step)), abs=1e-6)


def test_a_run_leaves_report_panel_and_model(tmp_path, photo):
    pictures = draw_pictures(tmp_path / "pictures", 1)
    config = tiny_config(**{"steps": 4, "validation.source": "folder", "validation.root": str(pictures)})
    train(config, tmp_path)
    summary = write_results(config, tmp_path)
    assert (summary["protocol"], summary["model"], summary["psnr_y"]) == ("s_fold_circular", "kernelnet", None)
    assert (summary["images"], summary["rows"]) == (1, 8)
    blind, coarse, fixed = summary["methods"]
    assert (blind, coarse) == ("blind", "coarse kernel")
    assert re.fullmatch(r"fixed Gaussian σ=1\.\d\d", fixed)
    protocol, train_part = held_out_protocol(config), pools_of(config).train
    width = pools.best_gaussian(train_part)
    baseline = np.mean([pools.l1_of_gaussian(case.kernel[None], width) for case in protocol.cases])
    assert summary["methods"][fixed]["kernel_l1"] == pytest.approx(baseline, rel=1e-4)
    assert 0.2 < baseline < 0.4 < summary["kernel_l1"] < 2
    page = (tmp_path / "report.md").read_text()
    assert f"kernel ℓ1 {summary['kernel_l1']:.3f} (coarse kernel " in page
    assert f"| {fixed} | {baseline:.3f} |" in page
    assert "PSNR |" not in page.replace("kernel PSNR |", "") and "bicubic" not in page
    assert json.loads((tmp_path / "report.json").read_text())["kernel_l1"] == summary["kernel_l1"]
    assert (tmp_path / "panel.png").is_file() and (tmp_path / "panels" / "step_0000004.png").is_file()
    assert not (tmp_path / "restored").exists()
    model, state = load(tmp_path / "model.safetensors"), best_state(config, tmp_path)
    lr = photo[None, :40, :48].astype(np.float32) / 255
    trained = config_lib.network_of(config).apply({"params": state.best_params}, lr).kernel
    np.testing.assert_allclose(model(lr).kernel, trained, atol=1e-6)
    (name, score), *_ = model.metadata["scores"].items()
    assert (name, score) == ("kernel l1, s_fold_circular, pictures", summary["kernel_l1"])
    with pytest.raises(DataError, match="restores no image"):
        model.restore(photo)


def test_the_best_checkpoint_has_the_smallest_kernel_error(tmp_path, monkeypatch):
    errors = iter([0.5, 0.3, 0.4])
    monkeypatch.setattr(loop, "score_of", lambda summary: -next(errors))
    config = tiny_config(**{"steps": 3, "model.gradient_steps": 0, "validation.every": 1, "checkpoint.keep": 1})
    train(config, tmp_path)
    assert int(best_state(config, tmp_path).step) == 2


def test_held_out_kernels_stand_for_all():
    """Their mean distance from the best Gaussian is close to that of all held-out kernels. None is trained on."""
    train_part, test_part = pools_of(tiny_config())
    protocol = held_out_protocol(tiny_config())
    assert (protocol.name, len(protocol.cases)) == ("s_fold_circular", 8)
    known = {kernel.tobytes() for kernel in train_part}
    assert not known & {case.kernel.tobytes() for case in protocol.cases}
    width = pools.best_gaussian(train_part)
    chosen = [pools.l1_of_gaussian(case.kernel[None], width) for case in protocol.cases]
    assert chosen == sorted(chosen)
    assert np.mean(chosen) == pytest.approx(pools.l1_of_gaussian(test_part, width), rel=0.05)
    assert protocol.subset(2).name == "s_fold_circular, 2 of 8 kernels"


def test_a_pool_of_ones_own_is_parted_too(tmp_path):
    pool = pools.kernel_pool(2, count=10, size=13)
    np.save(tmp_path / "pool.npy", pool)
    config = tiny_config(**{"degradation.pool": str(tmp_path / "pool.npy")})
    parts = pools_of(config)
    assert (parts.train.shape, parts.test.shape) == ((8, 17, 17), (2, 17, 17))
    assert len(held_out_protocol(config).cases) == 2
    assert kernel_l1(parts.test[0], parts.test[1]) > 0


@pytest.mark.parametrize(
    ("kernels", "message"),
    [
        (None, r"no_such\.npy: there is no such file"),
        (np.full((3, 25, 25), 1.0), r"kernel_size=17: \d+% of the weight .*kernel 0 lies outside 17x17"),
        (np.eye(17)[None], "two kernels at least are needed"),
        (np.pad(np.ones((3, 1, 1)), ((0, 0), (6, 2), (4, 4))), r"kernel 0 has .* 2\.0 pixels from .*move_kernel"),
        (np.ones((2, 4, 4)), "odd side"),
    ],
)
def test_a_pool_that_cannot_be_used_leaves_no_trace(tmp_path, kernels, message):
    path = tmp_path / "no_such.npy"
    if kernels is not None:
        path = tmp_path / "pool.npy"
        np.save(path, kernels)
    with pytest.raises(DataError, match=message):
        train(tiny_config(**{"degradation.pool": str(path)}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_kernels_too_small_for_the_pool_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"degradation\.kernel_size: .*at least 13, got 11"):
        train(tiny_config(**{"degradation.kernel_size": 11}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
