import json
import logging
import shutil

import jax
import numpy as np
import pytest
import safetensors
from PIL import Image

from blindsr_jax import config as config_lib
from blindsr_jax.errors import ConfigError, DataError, Diverged, Interrupted
from blindsr_jax.inference.loading import load
from blindsr_jax.training import loop
from blindsr_jax.training.checkpoints import Checkpoints
from blindsr_jax.training.loop import train
from blindsr_jax.training.results import best_state, evaluated_config, write_results
from blindsr_jax.training.setup import state_of
from blindsr_jax.training.sharding import data_mesh
from tests.conftest import drilled
from tests.drawn_pictures import draw_pictures
from tests.training.conftest import tiny_config

pytestmark = [
    pytest.mark.slow,
    # TensorBoard's writer, tensorstore and multiprocessing leave files to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def of_one_step(tmp_path_factory):
    """The workdir of a run of one step."""
    workdir = tmp_path_factory.mktemp("one_step") / "run"
    train(tiny_config(steps=1), workdir)
    return workdir


@pytest.fixture
def copied(of_one_step, tmp_path):
    """A copy of that workdir."""
    return shutil.copytree(of_one_step, tmp_path / "run")


def _assert_equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        np.testing.assert_array_equal(x, y)


def test_two_halves_equal_one_whole_bit_for_bit(tmp_path):
    config = tiny_config(**{"optimizer.ema_decay": 0.9})
    whole = train(config, tmp_path / "whole")
    half = tiny_config(**{"optimizer.ema_decay": 0.9, "steps": 3})
    train(half, tmp_path / "halves")
    resumed = train(config, tmp_path / "halves")
    assert int(resumed.step) == 6
    _assert_equal(whole, resumed)


@pytest.mark.parametrize("resumed", [False, drilled(True)])
def test_dssr_trains_resumes_evaluates_and_converts_like_dan(tmp_path, resumed):
    """The loop and the state that are resumed are DAN's; the drill has it for DSSR too."""
    pictures = draw_pictures(tmp_path / "pictures", 1)

    def dssr(**overrides):
        config = config_lib.default("dssr", 2)
        config.model.update(features=4, blocks=1, refine_blocks=1, iterations=2)
        config.data.update(batch_size=4, patch=16)
        config.checkpoint.every = 2
        config.validation.update(every=4, crop=64, widths=1, source="folder", root=str(pictures))
        config.update_from_flattened_dict({"steps": 4} | overrides)
        config_lib.validate(config)
        return config

    whole = train(dssr(), tmp_path / "whole")
    if resumed:
        train(dssr(steps=2), tmp_path / "halves")
        _assert_equal(whole, train(dssr(), tmp_path / "halves"))
    summary = write_results(dssr(), tmp_path / "whole")
    assert (summary["model"], summary["steps"], summary["kernel_l1"]) == ("dssr", 4, None)
    assert summary["psnr_y"] > 5
    model = load(tmp_path / "whole" / "model.safetensors")
    _assert_equal(model.variables["params"], best_state(dssr(), tmp_path / "whole").best_params)
    assert model.restore(np.zeros((9, 8, 3), np.uint8)).shape == (18, 16, 3)


@pytest.mark.drill
def test_an_interrupt_saves_and_the_rest_follows(tmp_path, monkeypatch):
    """In CI test_rollback.py resumes an interrupted run bit for bit, and tests/test_main.py interrupts a command."""
    config = tiny_config(**{"optimizer.schedule": "cosine", "optimizer.ema_decay": 0.9})
    whole = train(config, tmp_path / "whole")

    class StopAtTwo(loop.StopRequest):
        def __enter__(self):
            self.polls = 0
            return self

        def __exit__(self, *exc):
            pass

        @property
        def received(self):
            self.polls += 1
            return "SIGINT" if self.polls > 1 else None

        @received.setter
        def received(self, value):
            pass

    monkeypatch.setattr(loop, "StopRequest", StopAtTwo)
    with pytest.raises(Interrupted, match="run the same command"):
        train(config, tmp_path / "stopped")
    monkeypatch.undo()
    with Checkpoints(tmp_path / "stopped") as checkpoints:
        assert 0 < checkpoints.latest_step < 6
    _assert_equal(whole, train(config, tmp_path / "stopped"))


def test_a_run_leaves_everything_a_user_looks_for(tmp_path):
    pictures = draw_pictures(tmp_path / "pictures", 3)
    config = tiny_config(**{"validation.source": "folder", "validation.root": str(pictures)})
    train(config, tmp_path)
    summary = write_results(config, tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report == json.loads(json.dumps(summary))
    assert report["protocol"] == "gaussian8"
    assert (report["scale"], report["images"], report["rows"], report["steps"]) == (2, 3, 24, 6)
    panels = sorted(path.name for path in (tmp_path / "panels").iterdir())
    assert panels == ["step_0000003.png", "step_0000006.png"]
    for name in ("panel.png", "restored/lr.png", "restored/sr.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) >= 32
    assert list((tmp_path / "tensorboard").glob("events*"))
    model = load(tmp_path / "model.safetensors")
    assert model.parameters == report["parameters"]
    with safetensors.safe_open(tmp_path / "model.safetensors", "numpy") as file:
        assert report["config_hash"] in file.metadata()["blindsr_jax"]
    state = best_state(config, tmp_path)
    _assert_equal(model.variables["params"], state.best_params)


def test_best_and_newest_checkpoints_stay(tmp_path):
    state = state_of(tiny_config(), data_mesh())
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        for step, score in [(1, 20.0), (2, 25.0), (3, None), (4, 24.0), (5, None)]:
            checkpoints.save(state.replace(step=state.step + step), score)
        checkpoints.wait()
        assert checkpoints.best_step == 2
        assert checkpoints.latest_step == 5
    kept = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit())
    assert kept == [2, 4, 5]


def test_half_written_checkpoints_are_swept_away(tmp_path):
    half = tmp_path / "checkpoints" / "7.orbax-checkpoint-tmp-123"
    half.mkdir(parents=True)
    (half / "part").write_text("x")
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest_step is None
    assert not half.exists()


def test_a_checkpoint_returns_bit_for_bit(tmp_path):
    config = tiny_config(**{"optimizer.ema_decay": 0.5})
    state = state_of(config, data_mesh())
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
        checkpoints.wait()
        restored = checkpoints.restore(0, jax.tree.map(lambda x: x * 0, state))
    _assert_equal(state, restored)
    assert jax.tree.leaves(restored.params)[0].sharding == jax.tree.leaves(state.params)[0].sharding


def test_divergence_stops_with_advice(tmp_path, monkeypatch):
    config = tiny_config(**{"max_bad_steps": 2})

    def poisoned(config, mesh):
        state = state_of(config, mesh)
        return state.replace(params=jax.tree.map(lambda x: x * np.nan, state.params))

    monkeypatch.setattr(loop, "state_of", poisoned)
    with pytest.raises(Diverged, match=r"last 2 updates .* not finite.*clip_norm"):
        train(config, tmp_path)


def test_another_models_workdir_is_refused(copied):
    before = (copied / "config.json").read_text()
    with pytest.raises(ConfigError, match=r"another model \(model\.features=4, now 8\)"):
        train(tiny_config(**{"model.features": 8}), copied)
    assert (copied / "config.json").read_text() == before


def test_clipping_may_change_between_two_parts_of_a_run_which_is_said(copied, caplog):
    caplog.set_level(logging.INFO, "blindsr_jax")
    before = tiny_config(steps=1)
    train(before, copied)
    assert "before" not in caplog.text
    assert int(train(tiny_config(**{"steps": 2, "optimizer.clip_norm": 0.0, "log_every": 9}), copied).step) == 2
    (warning,) = [record.getMessage() for record in caplog.records if "other settings" in record.getMessage()]
    assert f"optimizer.clip_norm=0.0 (was {before.optimizer.clip_norm})" in warning and "log_every" not in warning
    (said,) = [record.getMessage() for record in caplog.records if "had not before" in record.getMessage()]
    assert "log_every=9" in said and "clip_norm" not in said
    with pytest.raises(ConfigError, match="ema_decay"):
        train(tiny_config(**{"steps": 3, "optimizer.ema_decay": 0.9}), copied)


def test_a_run_is_evaluated_as_the_network_it_was_trained_as(of_one_step):
    for field, value in [("model.skip", "bicubic"), ("model.iterations", 1)]:
        with pytest.raises(ConfigError, match=field.replace(".", r"\.")):
            evaluated_config(tiny_config(**{field: value}), of_one_step)
    other = tiny_config(**{"optimizer.learning_rate": 0.5, "validation.images": 2})
    assert evaluated_config(other, of_one_step).optimizer.learning_rate == 1e-3
    assert evaluated_config(other, of_one_step).validation.images == 2


def test_a_mistake_before_the_first_step_leaves_no_trace(tmp_path):
    with pytest.raises(ConfigError, match="split evenly"):
        train(tiny_config(**{"data.batch_size": 6}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_looking_into_a_run_changes_nothing_there(copied):
    half = copied / "checkpoints" / "9.orbax-checkpoint-tmp-1"
    half.mkdir()
    assert int(best_state(tiny_config(), copied).step) == 1
    assert half.exists()


def test_an_unreadable_validation_image_is_left_out(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(folder / name)
    data = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(data[: len(data) // 2])
    images = {"validation.source": "folder", "validation.root": str(folder), "validation.images": 0}
    config = tiny_config(steps=1, **images)
    train(config, tmp_path / "run")
    summary = write_results(config, tmp_path / "run")
    assert (summary["images"], summary["unreadable"]) == (1, 1)
    assert str(tmp_path) not in (tmp_path / "run" / "report.json").read_text()
    assert str(tmp_path).encode() not in (tmp_path / "run" / "model.safetensors").read_bytes()


@pytest.mark.drill
def test_the_deblurring_network_trains_too(tmp_path):
    """In CI tests/networks/test_dan.py has DANv2's gradient and test_region.py restores at scale 1."""
    config = config_lib.default("danv2", 1)
    config.model.update(features=4, groups=1, blocks=1, estimator_features=4, estimator_blocks=1, iterations=2)
    config.degradation.kernel_size, config.model.code_length = 11, 4
    config.data.update(batch_size=4, patch=16)
    config.validation.update(images=1, crop=32, widths=1)
    config.steps = 1
    config_lib.validate(config)
    train(config, tmp_path)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.best_step == 1


def test_damaged_checkpoints_are_named(copied):
    for path in (copied / "checkpoints" / "1").rglob("*"):
        if path.is_file() and path.stat().st_size > 1000:
            path.write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"checkpoints/1: this checkpoint cannot be read"):
        train(tiny_config(steps=2), copied)
    assert (copied / "checkpoints" / "1").is_dir()


def test_results_need_a_checkpoint(tmp_path):
    with pytest.raises(DataError, match="train first"):
        best_state(tiny_config(), tmp_path)
