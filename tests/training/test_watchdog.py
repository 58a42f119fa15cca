"""The watchdog prints when a step hangs, and only then."""

import time

from blindsr_jax.training.watchdog import Watchdog


def _hang(watchdog):
    with watchdog:
        watchdog.finished(7)
        time.sleep(1.2)


def test_it_says_which_step_hangs_and_where(capfd):
    _hang(Watchdog(0.2))
    text = capfd.readouterr().err
    assert "step 8: not finished 0.2 seconds after step 7" in text
    assert "most recent call first" in text
    assert "in _hang" in text


def test_it_waits_for_the_first_step_and_while_resting(capfd):
    with Watchdog(0.2) as watchdog:
        time.sleep(0.8)  # the first step includes compilation
        watchdog.finished(1)
        with watchdog.resting():
            time.sleep(0.8)
    time.sleep(0.8)  # nor after the end
    assert capfd.readouterr().err == ""


def test_zero_is_never(capfd):
    _hang(Watchdog(0))
    assert capfd.readouterr().err == ""
