"""Output of a run in progress."""

import absl.logging
import numpy as np
import pytest

from blindsr_jax.training import run_log


@pytest.fixture
def log(tmp_path):
    with run_log.RunLog(tmp_path, 0, 100, {"seed": 0}) as log:
        yield log


def test_the_first_step_does_not_count_in_the_estimate(log):
    bar = log._bar

    def an_hour_passes():
        bar.start_t, bar.last_print_t = bar.start_t - 3600, bar.last_print_t - 3600

    an_hour_passes()  # of compilation
    log.step(None)
    assert bar.format_dict["elapsed"] < 60
    an_hour_passes()
    log.step({"loss": 1.0})
    assert bar.format_dict["elapsed"] >= 3600 and bar.n == 2


def test_other_processes_are_silent(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(run_log, "is_first", lambda: False)
    with run_log.RunLog(tmp_path, 5, 100, {}) as log:
        log.step({"loss": 1.0})
        log.back_to(4)
        log.step(None)
        log.training(6)
    assert capfd.readouterr().err == ""
    assert not (tmp_path / "tensorboard").exists()


def test_clu_logs_metrics_but_not_the_config_nor_that_there_was_a_picture(log, monkeypatch):
    seen, logger = [], absl.logging.get_absl_logger()
    before = absl.logging.get_verbosity()
    absl.logging.set_verbosity(absl.logging.INFO)
    monkeypatch.setattr(logger, "handle", lambda record: run_log._worth_reading(record) and seen.append(record))
    try:
        log._writer.write_hparams({"seed": 0})
        log.scalars(3, {"train/loss": 0.5})
        log.image(3, "panel", np.zeros((2, 2, 3), np.uint8))
        log.flush()
    finally:
        absl.logging.set_verbosity(before)
    assert ["train/loss=0.5" in record.getMessage() for record in seen] == [True]
