"""Who has come, asked before JAX is: its own registration ends a process without saying which other one is missing.

Process 0 listens on the coordinator's port until every number has called, then all go on to ``jax.distributed``, whose
service takes over that port. Nobody else is spoken to, and nothing but numbers is said.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
import typing

from blindsr_jax.errors import HostLost

_PAUSE = 0.2  # seconds between two attempts to reach process 0


def roll_call(coordinator: str, processes: int, process_id: int, timeout: float) -> None:
    """Returns when all processes have called, in all of them.

    Args:
      coordinator: HOST:PORT of process 0.
      processes: how many there are.
      process_id: of this one, from 0.
      timeout: seconds to wait.

    Raises:
      HostLost: some did not come in time; their numbers are named.
      OSError: process 0 cannot listen on that port.
    """
    host, port = coordinator.rsplit(":", 1)
    deadline = time.monotonic() + timeout
    if process_id == 0:
        missing = _receive(int(port), processes, deadline)
    else:
        missing = _call(host.strip("[]"), int(port), process_id, deadline)
    if missing:
        names = ", ".join(map(str, missing))
        raise HostLost(
            f"{_processes(missing)} {names} of {processes} (counted from 0) did not join at {coordinator} within "
            f"{timeout:.0f} seconds: look at the log there, or wait longer with --join_timeout"
        )


def _receive(port: int, processes: int, deadline: float) -> list[int]:
    """Process 0's part: the numbers that did not call before the deadline, which is also told to those that did."""
    callers: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack, _listen(port) as server:
        while len(callers) < processes - 1 and (left := deadline - time.monotonic()) > 0:
            server.settimeout(left)
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # no time left, or a stranger
                caller = stack.enter_context(server.accept()[0])
                caller.settimeout(5)
                number = json.loads(_line(caller))["process"]
                if number in range(1, processes):
                    callers[number] = caller
        missing = [number for number in range(1, processes) if number not in callers]
        for caller in callers.values():
            with contextlib.suppress(OSError):
                caller.sendall(json.dumps({"missing": missing}).encode() + b"\n")
                caller.recv(1)  # they hang up first, so that the port is free at once
    return missing


def _listen(port: int) -> socket.socket:
    """A socket on all addresses of this machine, as JAX's service will have it."""
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    return socket.create_server(("", port), family=family, dualstack_ipv6=dual, backlog=1024)


def _call(host: str, port: int, process_id: int, deadline: float) -> list[int]:
    """The part of the others: what process 0 says is missing; [0] if it is not there."""
    while (left := deadline - time.monotonic()) > 0:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # not there yet, or somebody else
            return _ask(host, port, process_id, left)
        time.sleep(_PAUSE)
    return [0]


def _ask(host: str, port: int, process_id: int, left: float) -> list[int]:
    with socket.create_connection((host, port), timeout=left) as connection:
        connection.sendall(json.dumps({"process": process_id}).encode() + b"\n")
        connection.settimeout(left + 5)  # process 0's deadline is a little later, if it started later
        return [int(number) for number in json.loads(_line(connection))["missing"]]


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < 2**20 and (more := connection.recv(4096)):
        data += more
    return data


def _processes(numbers: typing.Sequence[int]) -> str:
    return "process" if len(numbers) == 1 else "processes"
