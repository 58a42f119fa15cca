"""Divergence: the run goes back to a good checkpoint, continues with other batches, and resumes bit for bit."""

import logging
import re

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from blindsr_jax import config as config_lib
from blindsr_jax.errors import Diverged, Interrupted
from blindsr_jax.training import loop
from blindsr_jax.training.checkpoints import Checkpoints
from blindsr_jax.training.loop import train
from blindsr_jax.training.rising_loss import RisingLoss
from blindsr_jax.training.setup import abstract_state, batches_of, state_of
from blindsr_jax.training.sharding import data_mesh
from tests.conftest import drilled
from tests.training.conftest import tiny_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def _config(**overrides):
    rollback = {"on_divergence": "rollback", "max_bad_steps": 2, "skip_batches": 3, "steps": 8}
    return tiny_config(**rollback | {"checkpoint.every": 2, "validation.every": 100} | overrides)


@pytest.fixture
def poison(monkeypatch):
    """Make the updates with given batches (counted from 0) non-finite, or give them another loss.

    Returns a list of the batches that are used.
    """

    shared = loop.updates_of

    def poison(*numbers, loss=np.nan):
        met = []

        def poisoned_batches(config, source, start):
            for number, batch in enumerate(batches_of(config, source, start), start):
                met.append(number)
                yield np.zeros_like(batch) if number in numbers else batch

        def poisoned_updates(config, mesh):
            update_of = shared(config, mesh)

            def update(state, hr, stop):
                if int(hr.max()) > 0:
                    return update_of(1)(state, hr, stop)
                bad = int(np.isnan(loss))
                counters = {"bad_steps": state.bad_steps + bad, "bad_in_a_row": state.bad_in_a_row + bad}
                metrics = {"loss": np.float32(loss)} | {name: int(value) for name, value in counters.items()}
                return state.replace(step=state.step + 1, **counters), metrics

            return lambda step: update

        monkeypatch.setattr(loop, "batches_of", poisoned_batches)
        monkeypatch.setattr(loop, "updates_of", poisoned_updates)
        return met

    return poison


def _assert_equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        np.testing.assert_array_equal(x, y)


def test_a_run_goes_back_and_takes_other_batches(tmp_path, poison, caplog):
    met = poison(4, 5)
    with caplog.at_level(logging.WARNING, "blindsr_jax"):
        state = train(_config(), tmp_path)
    # Steps 5 and 6 are bad, which is noticed a step later. From step 4 on, 2 + 3 batches are skipped.
    assert met[:7] == [0, 1, 2, 3, 4, 5, 6]
    assert [number for number in met[7:] if number < 13] == [9, 10, 11, 12]
    assert (int(state.step), int(state.skipped), int(state.rollbacks), int(state.bad_steps)) == (8, 5, 1, 0)
    assert "step 6: the last 2 updates were not finite; going back to step 4 and leaving out 5 batches" in caplog.text


@pytest.mark.parametrize("stop_after", [drilled(3), 6, drilled(9)])
def test_a_rollback_is_resumed_bit_for_bit(tmp_path, poison, monkeypatch, stop_after):
    """The run is stopped before the divergence, in the middle of it, and after the rollback."""
    poison(4, 5)
    whole = train(_config(), tmp_path / "whole")

    class Stop(loop.StopRequest):
        polls = 0

        @property
        def received(self):
            Stop.polls += 1
            return "SIGTERM" if Stop.polls > 2 * stop_after else None

        @received.setter
        def received(self, value):
            pass

    monkeypatch.setattr(loop, "StopRequest", Stop)
    with pytest.raises(Interrupted):
        train(_config(), tmp_path / "parts")
    monkeypatch.setattr(loop, "StopRequest", type("Never", (loop.StopRequest,), {"received": None}))
    _assert_equal(whole, train(_config(), tmp_path / "parts"))


def test_without_a_checkpoint_it_starts_again(tmp_path, poison):
    met = poison(0, 1)
    state = train(_config(), tmp_path)
    assert met[0] == 0
    assert (int(state.step), int(state.skipped)) == (8, 5)


def test_a_rising_loss_is_rolled_back_too(tmp_path, poison, caplog):
    met, config = poison(4, 5, loss=50.0), _config(max_rise=3.0, rise_steps=3)
    assert config.optimizer.warmup == 2, "the loss rises when the rate has warmed up"
    with caplog.at_level(logging.WARNING, "blindsr_jax"):
        state = train(config, tmp_path)
    # Two of three losses are high at step 6. Step 5 is the last sound one, so the checkpoint of step 6 is not used.
    assert met[:7] == [0, 1, 2, 3, 4, 5, 6]
    assert [number for number in met[7:] if number < 13] == [9, 10, 11, 12]
    assert (int(state.step), int(state.skipped), int(state.rollbacks)) == (8, 5, 1)
    assert re.search(r"step 6: the loss has risen to \d+\.\d times its lowest; going back to step 4", caplog.text)


@pytest.mark.parametrize(
    ("losses", "seen_at", "sound_step"),
    [
        ([8, 4, 2, 1, 1, 1, 1], None, 7),
        ([1, 1, 1, 90, 1, 1, 90, 1], None, 8),  # two spikes
        ([1, 1, 1, 2.5, 2.5, 2.5, 4, 4, 4], 8, 4),  # slowly; the median is 2.5 from step 5 on
        ([1, 1, 1, np.nan, np.nan, 1, 1], None, 7),
        ([1, 9, 9, 9, 9], None, 5),  # the first median is of three losses
        ([0, 0, 0, 5, 5], None, 5),
    ],
)
def test_when_a_loss_has_risen(losses, seen_at, sound_step):
    rising = RisingLoss(3.0, 3, 0)
    seen = [step for step, loss in enumerate(losses, 1) if rising.is_seen(step, loss)]
    assert seen[:1] == ([] if seen_at is None else [seen_at])
    assert rising.sound_step == sound_step
    rising.forget()
    assert not any(rising.is_seen(step, 1000.0) for step in range(10))


@pytest.mark.parametrize("steps_before", [150, 2_500])
def test_the_recipe_of_dcls_watches_the_loss_in_warm_up_and_after_it(steps_before):
    """A loss that rises to four times its level is noticed as soon as most of the last ``rise_steps`` are high."""
    config = config_lib.default("dcls", scale=4)
    assert 150 < config.optimizer.warmup < 2_500
    assert config.on_divergence == "rollback"
    rising = loop.rising_loss_of(config, 0)
    losses = [1.0] * steps_before + [4.0] * config.rise_steps
    seen = [step for step, loss in enumerate(losses, 1) if rising.is_seen(step, loss)]
    assert seen[0] == steps_before + config.rise_steps // 2 + 1
    assert steps_before <= rising.sound_step < seen[0]


def test_it_is_not_tried_for_ever(tmp_path, poison):
    poison(*range(4, 1000))
    with pytest.raises(Diverged, match="with other batches too, 2 times, the last 2 updates"):
        train(_config(rollbacks=2), tmp_path)


def test_checkpoints_of_earlier_versions_are_read(tmp_path):
    state = state_of(tiny_config(), data_mesh())
    fields = {name: value for name, value in vars(state).items() if name not in ("rollbacks", "skipped")}
    with ocp.CheckpointManager(tmp_path / "checkpoints") as manager:
        manager.save(0, args=ocp.args.StandardSave(fields))
    with Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore(0, abstract_state(tiny_config(), data_mesh()))
    _assert_equal(state, restored)
