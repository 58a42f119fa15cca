"""Output of a run in progress."""

import logging

import absl.logging
import numpy as np
import pytest

from blindsr_jax.training import run_log


@pytest.fixture
def quiet_again(monkeypatch):
    """Undo what ``setup_logging`` changes."""
    verbosity = absl.logging.get_verbosity()
    loggers = logging.getLogger(), logging.getLogger("blindsr_jax"), absl.logging.get_absl_logger()
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        monkeypatch.setattr(logger, "handlers", [])
        monkeypatch.setattr(logger, "filters", [])
        monkeypatch.setattr(logger, "propagate", logger.propagate)
    yield
    absl.logging.set_verbosity(verbosity)
    for logger, level in zip(loggers, levels):
        logger.setLevel(level)


def test_the_first_step_does_not_count_in_the_estimate(tmp_path, monkeypatch, capfd):
    now = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    with run_log.RunLog(tmp_path, 0, 100, {}) as log:
        now[0] += 3600  # of compilation
        log.step(None)
        now[0] += 120
        log.step({"loss": 1.0})
    last = capfd.readouterr().err.splitlines()[-1]
    assert "2/100 [02:00<" in last and "loss=1.0000" in last


def test_other_processes_are_silent(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(run_log, "is_first", lambda: False)
    with run_log.RunLog(tmp_path, 5, 100, {}) as log:
        log.step({"loss": 1.0})
        log.back_to(4)
        log.step(None)
        log.training(6)
    assert capfd.readouterr().err == ""
    assert not (tmp_path / "tensorboard").exists()


def test_clu_logs_metrics_but_not_the_config_nor_that_there_was_a_picture(tmp_path, capsys, quiet_again):
    run_log.setup_logging()
    with run_log.RunLog(tmp_path, 0, 100, {"seed": 0}) as log:
        log.scalars(3, {"train/loss": 0.5})
        log.image(3, "panel", np.zeros((2, 2, 3), np.uint8))
        log.flush()
    written = capsys.readouterr().err
    assert written.count("train/loss=0.5") == 1
    assert "seed" not in written and "panel" not in written and "Got images" not in written
