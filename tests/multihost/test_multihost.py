"""Several processes of one run: they compute what one computes, stop at the same step, and say who is missing."""

import json
import shutil
import signal
import time
import types

import jax
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from blindsr_jax import config as config_lib
from blindsr_jax.training import loop
from blindsr_jax.training.checkpoints import Checkpoints
from blindsr_jax.training.loop import train
from blindsr_jax.training.results import evaluated_config, write_results
from blindsr_jax.training.setup import abstract_state
from blindsr_jax.training.sharding import data_mesh
from tests.conftest import drilled
from tests.drawn_pictures import draw_pictures
from tests.multihost.processes import log_of, start, start_locally, wait
from tests.multihost.tiny import get_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs on two processes of two devices each.

    ``whole`` was stopped by SIGTERM at step ``steps``. ``copy`` is what it had been two checkpoints before, at step
    ``earlier``. ``parts`` went on from there to the same step.
    """
    place = tmp_path_factory.mktemp("multihost")
    draw_pictures(place / "pictures")
    parts, whole, copy = (place / name for name in ("parts", "whole", "copy"))
    started = start(place, whole, "--config.steps=100000", "--config.checkpoint.keep=3", devices=2)
    while "[20] train/" not in log_of(place, whole):
        assert started[0].poll() is None, log_of(place, whole)
        time.sleep(0.02)
    started[1].send_signal(signal.SIGTERM)  # to one of them
    codes = wait(started)
    assert "saved step" in log_of(place, whole), log_of(place, whole)
    steps = int(log_of(place, whole).split("SIGTERM: saved step ")[1].split(";")[0])
    shutil.copytree(whole, copy)
    with Checkpoints(whole, read_only=True) as checkpoints:
        earlier, *later = checkpoints.steps[-3:]
    for step in later:
        shutil.rmtree(copy / "checkpoints" / str(step))
    shutil.copytree(copy, parts)
    finished = wait(start_locally(place, parts, f"--config.steps={steps}", devices=2))
    assert finished == [0], log_of(place, parts)
    return types.SimpleNamespace(**locals())


def _config(runs, **overrides):
    config = get_config()
    fields = {"steps": runs.steps, "validation.source": "folder", "validation.root": str(runs.place / "pictures")}
    config.update_from_flattened_dict(fields | overrides)
    config_lib.validate(config)
    return config


def _losses(workdir):
    """Losses by step, as TensorBoard shows them."""
    events = EventAccumulator(str(workdir / "tensorboard"), size_guidance={"tensors": 0}).Reload()
    return {event.step: make_ndarray(event.tensor_proto) for event in events.Tensors("train/loss")}


def _state(runs, workdir):
    with Checkpoints(workdir, read_only=True) as checkpoints:
        return checkpoints.restore(runs.steps, abstract_state(_config(runs), data_mesh()))


def _train_here(runs, monkeypatch, devices, workdir):
    devices = jax.devices()[:devices]
    mesh = jax.make_mesh((len(devices),), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=devices)
    monkeypatch.setattr(loop, "data_mesh", lambda: mesh)
    train(_config(runs), workdir)
    return _losses(workdir)


@pytest.mark.parametrize("devices", [1, drilled(4)])
def test_losses_are_the_same_on_any_number_of_processes_and_devices(runs, tmp_path, monkeypatch, devices):
    ours, theirs = _train_here(runs, monkeypatch, devices, tmp_path), _losses(runs.whole)
    assert sorted(ours) == sorted(theirs) == list(range(2, runs.steps + 1))  # a step's are read with the next one
    assert runs.steps >= 20
    np.testing.assert_allclose([ours[step] for step in ours], [theirs[step] for step in ours], rtol=1e-5)


def test_sigterm_to_one_process_saves_both_at_the_same_step(runs):
    assert runs.codes == [75, 75]
    for number in (0, 1):
        assert f"SIGTERM: saved step {runs.steps};" in log_of(runs.place, runs.whole, number)
    assert max(int(path.name) for path in (runs.whole / "checkpoints").iterdir()) == runs.steps


def test_it_goes_on_bit_for_bit(runs):
    """The state at the end of a resumed run is what SIGTERM saved of the run that was not stopped between."""
    assert f"going on from step {runs.earlier} of {runs.steps}" in log_of(runs.place, runs.parts)
    for a, b in zip(jax.tree.leaves(_state(runs, runs.parts)), jax.tree.leaves(_state(runs, runs.whole))):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("devices", [drilled(1), 4])
def test_it_goes_on_on_one_process(runs, tmp_path, monkeypatch, devices):
    workdir = tmp_path / "run"
    shutil.copytree(runs.copy, workdir)
    ours, theirs = _train_here(runs, monkeypatch, devices, workdir), _losses(runs.whole)
    later = range(runs.earlier + 2, runs.steps + 1)
    assert set(later) <= set(ours)
    np.testing.assert_allclose([ours[step] for step in later], [theirs[step] for step in later], rtol=1e-5)


def test_the_report_of_two_processes_equals_that_of_one(runs, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(runs.parts, workdir)
    (workdir / "report.json").unlink()
    write_results(evaluated_config(_config(runs), workdir), workdir)
    ours, theirs = (json.loads((folder / "report.json").read_text()) for folder in (workdir, runs.parts))
    assert ours.pop("seconds") > 0
    assert theirs.pop("seconds") > 0
    assert (ours["images"], ours["rows"]) == (2, 16)
    for name, value in theirs.items():  # programs for another number of devices round differently
        assert ours[name] == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value), name


@pytest.mark.parametrize("present", [[2], drilled([0, 2])], ids=str)
def test_a_missing_process_is_named_in_time(tmp_path, present):
    """In CI one process alone; tests/test_hosts.py has several in threads, and what each of them hears."""
    began, place = time.monotonic(), tmp_path
    codes = wait(start(place, place / "alone", "--join_timeout=5", count=3, only=present))
    assert codes == [75] * len(present)
    missing = "process 1" if 0 in present else "process 0"
    for number in present:
        assert f"{missing} of 3 (counted from 0) did not join at 127.0.0.1:" in log_of(place, place / "alone", number)
    assert time.monotonic() - began < 90
    assert not (place / "alone").exists()
