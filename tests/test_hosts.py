"""Joining: who is named when somebody is missing, and what is refused before anything is started."""

import concurrent.futures
import socket

import pytest

from blindsr_jax.errors import BlindSRError, ConfigError, HostLost
from blindsr_jax.hosts import all_or_none, gathered, join
from blindsr_jax.hosts.rendezvous import rendezvous
from tests.multihost.processes import free_port


def _rendezvous(numbers, processes, timeout, stranger=b""):
    """Run the rendezvous with one thread per process and return the error message of each, or None."""
    coordinator = f"127.0.0.1:{free_port()}"

    def call(number):
        try:
            rendezvous(coordinator, processes, number, timeout)
        except HostLost as error:
            return str(error)
        return None

    with concurrent.futures.ThreadPoolExecutor() as threads:
        calls = [threads.submit(call, number) for number in numbers]
        if stranger:
            host, port = coordinator.split(":")
            for _ in range(100):
                try:
                    with socket.create_connection((host, int(port)), timeout=0.2) as connection:
                        connection.sendall(stranger)
                        break
                except OSError:
                    continue
        return [done.result() for done in calls]


def test_all_go_on_when_all_have_come():
    assert _rendezvous([2, 1, 0], 3, 20) == [None] * 3


@pytest.mark.parametrize("stranger", [b"GET / HTTP/1.1\n", b'{"process": 0}\n', b'{"process": 7}\n', b"[]\n"])
def test_strangers_are_not_counted(stranger):
    assert _rendezvous([0], 2, 1, stranger)[0].startswith("process 1 of 2")


def test_those_who_came_name_those_who_did_not():
    first, third = _rendezvous([0, 2], 5, 1)
    assert first == third
    assert first.startswith("processes 1, 3, 4 of 5 (counted from 0) did not join at 127.0.0.1:")


def test_without_process_0_it_is_named():
    assert _rendezvous([1], 2, 1)[0].startswith("process 0 of 2")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("h:1", 2, None), "--process_id is missing"),
        ((None, 2, 0), "--coordinator is missing"),
        (("h", 2, 0), "must be HOST:PORT, got 'h'"),
        (("h:99999", 2, 0), "must be HOST:PORT"),
        (("h:1", 2, 2), "must be 0 to 1 of --processes=2, got 2"),
    ],
)
def test_a_place_that_cannot_be_is_refused(place, message):
    with pytest.raises(ConfigError, match=message):
        join(*place, timeout=1, lost=10)


def test_a_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"--coordinator={place}: cannot be used"):
            join(place, 2, 0, timeout=1, lost=10)


def test_alone_everything_is_ones_own():
    join("nowhere:1", 1, None, timeout=1, lost=10)
    assert gathered({"a": 0.1}) == [{"a": 0.1}]
    with pytest.raises(BlindSRError, match="mine") as caught, all_or_none():
        raise BlindSRError("mine")
    assert caught.value.together
