"""One run at a time, a queue of bounded length, memory of bounded size, and folders that do not stay."""

import os
import threading
import time

import filelock
import pytest

from blindsr_jax.demo import folders, turns
from blindsr_jax.demo.keeping import Kept
from blindsr_jax.demo.turns import Turns
from blindsr_jax.errors import DataError


def _run(queue, visitor, stages=("done",), stop=None, address=""):
    def generator():
        yield from stages

    return queue.running(visitor, stop or threading.Event(), generator(), address)


def test_the_second_hears_of_the_first_and_then_runs():
    queue = Turns()
    first, second, third = (_run(queue, name, ("a", "b")) for name in "xyz")
    assert next(first) == "a"
    assert next(second) == 1 and next(third) == 2
    assert list(first) == ["b"]
    assert next(third) == 1
    assert list(second) == ["a", "b"]
    assert list(third) == ["a", "b"]


def test_who_waits_can_stop():
    queue, stop = Turns(), threading.Event()
    first, second = _run(queue, "x"), _run(queue, "y", stop=stop)
    next(first), next(second)
    stop.set()
    assert list(second) == [] and list(first) == [] and list(_run(queue, "y")) == ["done"]


def test_too_many_are_refused_in_words():
    queue = Turns(most=2)
    waiting = [_run(queue, str(i)) for i in range(3)]
    assert [next(run) for run in waiting] == ["done", 1, 2]
    with pytest.raises(DataError, match="3 runs are waiting already: try again"):
        next(_run(queue, "late"))
    with pytest.raises(DataError, match="Your last run has not ended"):
        next(_run(queue, "1"))
    waiting[1].close()
    assert next(_run(queue, "late")) == 2


def test_an_address_has_three_runs_and_this_machine_has_more():
    queue, far = Turns(), "192.0.2.7"
    waiting = [_run(queue, str(i), address=far) for i in range(turns.MOST_OF_ADDRESS)]
    assert [next(run) for run in waiting] == ["done", 1, 2]
    with pytest.raises(DataError, match="3 runs of your address have not ended yet"):
        next(_run(queue, "late", address=far))
    others = [_run(queue, name, address=name) for name in ("192.0.2.8", "2001:db8::1")]
    own = [_run(queue, f"own {i}", address="127.0.0.1") for i in range(turns.MOST_OF_ADDRESS + 1)]
    assert [next(run) for run in (*others, *own)] == [3, 4, 5, 6, 7, 8]
    waiting[1].close()
    assert next(_run(queue, "late", address=far)) == 8


def test_a_visitor_who_left_holds_up_nobody(monkeypatch):
    queue = Turns()
    left, second = _run(queue, "x", ("a", "b")), _run(queue, "y")
    assert next(left) == "a" and next(second) == 1
    monkeypatch.setattr(turns, "_GONE", 0.0)
    assert next(second) == "done"


def test_a_failed_run_gives_its_turn_back():
    def fails():
        yield 1
        raise ValueError("no")

    queue = Turns()
    with pytest.raises(ValueError, match="no"):
        list(queue.running("x", threading.Event(), fails()))
    assert list(_run(queue, "y")) == ["done"]


def test_memory_goes_to_those_who_use_it():
    kept = Kept(100, 60)
    first, second = kept.put("a", 40), kept.put("b", 40)
    assert kept.get(first) == "a"
    kept.put("c", 40)
    assert kept.get(first) == "a" and kept.get(second) is None
    again = kept.put("d", 40, instead_of=first)
    assert kept.get(first) is None and kept.get(again) == "d"
    assert kept.get(None) is None and kept.get("guess") is None
    assert kept.get(kept.put("large", 1000)) == "large"
    assert Kept(100, -1).get(Kept(100, -1).put("old", 1)) is None


def test_the_folder_goes_and_those_of_killed_servers_too(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(folders.tempfile, "tempdir", str(tmp_path))
    killed, starting, running, other = (tmp_path / f"blindsr-demo-{i}" for i in "1234")
    for folder in (killed, starting, running, tmp_path / "blindsr"):
        folder.mkdir()
        (folder / "cache").mkdir()
    other.symlink_to(tmp_path / "blindsr")
    os.utime(tmp_path / "blindsr", (0, 0))
    (killed / folders._LOCK).touch()
    with filelock.FileLock(running / folders._LOCK):
        with folders.own_folder() as own:
            assert own.is_dir() and not killed.exists()
            assert starting.exists() and running.exists() and other.exists() and (tmp_path / "blindsr").exists()
        assert not own.exists()
        os.utime(starting, (time.time() - 3600,) * 2)
        folders.sweep(tmp_path)
        assert not starting.exists() and running.exists()
