"""A checkpoint restores what was saved, or an error says that it cannot be read."""

import gc
import logging
import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks.configs import config_named
from blindsr_jax.errors import DataError
from blindsr_jax.training.checkpoints import Checkpoints
from blindsr_jax.training.setup import abstract_state
from blindsr_jax.training.sharding import data_mesh
from blindsr_jax.training.state import TrainState
from tests.conftest import drilled

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def _state(step: int) -> TrainState:
    """A small state with an optimiser state. Its numbers depend on the step."""
    params = {"restorer": {"kernel": jax.random.normal(jax.random.key(step), (6, 5)), "bias": jnp.full(3, step * 1.5)}}
    zero = jnp.zeros((), jnp.int32)
    counters = dict.fromkeys(("bad_steps", "bad_in_a_row", "rollbacks", "skipped"), zero)
    opt_state = optax.adam(1e-3).init(params)
    return TrainState(zero + step, params, {"pca_basis": jnp.arange(12.0)}, opt_state, None, **counters)


def _equal(a: TrainState, b: TrainState) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(x.dtype == y.dtype and np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs)


@pytest.fixture(autouse=True)
def collected():
    """Collect the files that tensorstore leaves open after a failed read, while their warnings are still ignored."""
    yield
    gc.collect()


@pytest.fixture
def workdir(tmp_path):
    """A workdir with two checkpoints. The newest is not the best."""
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(_state(1), 30.5)
        checkpoints.save(_state(2), 29.5)
    return tmp_path


def _files(workdir, step):
    return sorted(path for path in (workdir / "checkpoints" / str(step)).rglob("*") if path.is_file())


@pytest.mark.parametrize("bits", [50, drilled(200)])
def test_one_flipped_bit_is_refused_or_harmless(workdir, bits):
    files, rng = _files(workdir, 2), random.Random(7)
    places = [(path, at) for path in files for at in range(path.stat().st_size)]
    expected, refused = _state(2), 0
    with Checkpoints(workdir, read_only=True) as checkpoints:
        for path, at in rng.sample(places, bits):
            sound = path.read_bytes()
            path.write_bytes(sound[:at] + bytes([sound[at] ^ 1 << rng.randrange(8)]) + sound[at + 1 :])
            try:
                assert _equal(checkpoints.restore(2, expected), expected), f"{path}, byte {at}"
            except DataError:
                refused += 1
            path.write_bytes(sound)
        assert _equal(checkpoints.restore(2, expected), expected)
    assert refused > bits / 4


def _damage_numbers(workdir, step):
    [*_, largest] = sorted(_files(workdir, step), key=lambda path: path.stat().st_size)
    largest.write_bytes(bytes(largest.stat().st_size))


def _damage_score(workdir, step):
    (workdir / "checkpoints" / str(step) / "metrics" / "metrics").write_text('{"sco')


def _truncate(workdir, step):
    for path in _files(workdir, step):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [_damage_numbers, _damage_score, _truncate])
def test_a_run_goes_on_from_the_one_before_and_says_so(workdir, damage, caplog):
    damage(workdir, 2)
    with Checkpoints(workdir) as checkpoints:
        assert _equal(checkpoints.restore_newest(_state(0)), _state(1))
        assert checkpoints.steps == [1]
        checkpoints.save(_state(2))
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING and "blindsr" in record.name]
    assert "checkpoints/2: " in warning.getMessage()
    assert "step 1" in warning.getMessage()
    with Checkpoints(workdir) as checkpoints:
        assert _equal(checkpoints.restore_newest(_state(0)), _state(2))
    assert (workdir / "checkpoints" / "2.damaged").is_dir()


@pytest.mark.parametrize("damage", [_damage_numbers, _damage_score, _truncate])
def test_looking_into_a_damaged_run_changes_nothing(workdir, damage, caplog):
    damage(workdir, 1)  # the best one
    before = {path: path.read_bytes() for path in _files(workdir, ".")}
    with Checkpoints(workdir, read_only=True) as checkpoints:
        assert _equal(checkpoints.restore_best(_state(0)), _state(2))
    assert "checkpoints/1: " in caplog.text
    assert "step 2" in caplog.text or "not validated" in caplog.text
    assert before == {path: path.read_bytes() for path in _files(workdir, ".")}


@pytest.mark.parametrize("damage", [_damage_numbers, _damage_score, _truncate])
def test_a_run_without_a_sound_checkpoint_does_not_begin_anew(workdir, damage):
    damage(workdir, 1)
    damage(workdir, 2)
    with pytest.raises(DataError, match=r"checkpoints/\d: this checkpoint cannot be read .*begin anew"):  # noqa: SIM117
        with Checkpoints(workdir) as checkpoints:
            checkpoints.restore_newest(_state(0))
    assert sorted(path.name for path in (workdir / "checkpoints").iterdir()) == ["1", "2"]


def test_a_score_that_was_changed_is_noticed(workdir):
    path = workdir / "checkpoints" / "2" / "metrics" / "metrics"
    path.write_text(path.read_text().replace("29.5", "39.5"))
    with Checkpoints(workdir, read_only=True) as checkpoints, pytest.raises(DataError, match="checksum"):
        checkpoints.restore(2, _state(0))


def test_a_checkpoint_of_another_step_is_noticed(workdir):
    """The checkpoint is sound, but it is in the folder of another step."""
    place = workdir / "checkpoints"
    shutil.copytree(place / "1", place / "3")
    with Checkpoints(workdir, read_only=True) as checkpoints, pytest.raises(DataError, match="step 1"):
        checkpoints.restore(3, _state(0))


def test_a_checkpoint_of_danv2_short_is_below_16_mb(tmp_path):
    """So that it can be carried from machine to machine. Random numbers, because zeros are compressed away."""
    config = config_named("danv2_short_x4")
    rng, shapes = np.random.default_rng(0), abstract_state(config, data_mesh())
    drawn = [rng.normal(size=leaf.shape).astype(leaf.dtype) for leaf in jax.tree.leaves(shapes)]
    state = jax.device_put(jax.tree.unflatten(jax.tree.structure(shapes), drawn))
    with Checkpoints(tmp_path, config.checkpoint.keep) as checkpoints:
        checkpoints.save(state, 30.5)
    (step,) = Checkpoints(tmp_path, read_only=True).steps
    size = sum(path.stat().st_size for path in _files(tmp_path, step))
    assert 8 * sum(leaf.size for leaf in jax.tree.leaves(shapes.params)) * 0.8 < size < 16e6
