"""Runs can be stopped, even in the middle of a stage."""

import threading

import pytest

from blindsr_jax.demo.keeping import Kept
from blindsr_jax.demo.stopping import Runs, until
from blindsr_jax.demo.turns import Turns

SECONDS = 30  # after this time a wait has failed


class _Stages:
    """Three stages; the second waits until it is released."""

    def __init__(self):
        self.began, self.go_on, self.closed, self.third = (threading.Event() for _ in range(4))

    def __call__(self):
        try:
            yield 1
            self.began.set()
            assert self.go_on.wait(SECONDS)
            yield 2
            self.third.set()
            yield 3
        finally:
            self.closed.set()


def test_all_stages_come_in_order_and_the_run_is_closed():
    stages = _Stages()
    stages.go_on.set()
    assert list(until(threading.Event(), stages())) == [1, 2, 3]
    assert stages.closed.wait(SECONDS)


def test_stop_ends_the_run_in_the_middle_of_a_stage():
    stop, stages = threading.Event(), _Stages()
    run = until(stop, stages())
    assert next(run) == 1
    later = threading.Timer(0.2, lambda: stages.began.wait(SECONDS) and stop.set())
    later.start()
    assert list(run) == [] and stages.began.is_set()
    assert not stages.closed.is_set(), "the stage still computes"
    stages.go_on.set()
    assert stages.closed.wait(SECONDS) and not stages.third.is_set()


def test_stopped_before_the_first_stage_begins_none():
    stop, begun = threading.Event(), []
    stop.set()

    def stages():
        begun.append(1)
        yield 1

    assert list(until(stop, stages())) == [] and begun == []


def test_who_stops_asking_closes_the_run():
    stages = _Stages()
    run = until(threading.Event(), stages())
    next(run)
    run.close()
    assert stages.closed.wait(SECONDS) and not stages.began.is_set()


def test_errors_of_a_stage_come_through():
    def stages():
        yield 1
        raise ValueError("no picture")

    with pytest.raises(ValueError, match="no picture"):
        list(until(threading.Event(), stages()))


def test_each_visitor_stops_their_own_run():
    runs = Runs()
    with runs.running("one") as one, runs.running("two") as two:
        runs.stop("one")
        assert one.is_set() and not two.is_set()
    runs.stop("two")
    assert not two.is_set()


def test_a_new_run_of_a_visitor_can_be_stopped_after_the_end_of_the_old():
    runs = Runs()
    old, new = runs.running("one"), runs.running("one")
    with old as old_stop:
        new_stop = new.__enter__()
    runs.stop("one")
    assert new_stop.is_set() and not old_stop.is_set()
    new.__exit__(None, None, None)
    runs.stop("one")


def test_a_stopped_run_says_so_and_gives_the_buttons_back(tmp_path):
    updates = pytest.importorskip("blindsr_jax.demo.updates", reason="pip install -e '.[demo]'")
    stop = threading.Event()
    stop.set()
    shared = updates.Shared([], tmp_path, tmp_path, Kept(1, 1), Turns())
    ((go, halt, _, message, *others),) = updates.run_updates(shared, "visitor", stop, [None] * 15)
    assert "Stopped." in message and go["interactive"] and not halt["interactive"] and len(others) == 10
