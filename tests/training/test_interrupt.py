import os
import signal

import jax
import numpy as np
import pytest

from blindsr_jax.errors import Interrupted
from blindsr_jax.training.interrupt import StopRequest, put_request, request_of_all, saved_error
from blindsr_jax.training.sharding import data_mesh


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 75)])
def test_a_signal_is_remembered_and_has_its_exit_code(name, code, capsys):
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.Signals[name])
        assert stop.received == name
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.Signals[name])
    assert "once more to stop at once" in capsys.readouterr().err
    error = saved_error(stop.received, 7)
    assert isinstance(error, Interrupted)
    assert (error.exit_code, error.together) == (code, True)


def test_alone_a_signal_counts_at_once():
    assert put_request(data_mesh(), "SIGTERM") is None
    assert request_of_all("SIGTERM", None) == "SIGTERM"


def test_of_several_the_answer_of_all_counts(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert request_of_all("SIGTERM", None) is None, "the others do not know yet"
    assert request_of_all(None, np.zeros(2)) is None
    assert request_of_all(None, np.array([0.25, 0])) == "SIGINT"
    assert request_of_all(None, np.array([0.25, 0.25])) == "SIGTERM"
    np.testing.assert_array_equal(put_request(data_mesh(), "SIGTERM"), [[0, 1]] * 4)
