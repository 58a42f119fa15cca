"""Rendezvous of all processes before JAX's registration, which does not say which process is missing.

Process 0 listens on the coordinator's port until every other process has called. Then all processes start
``jax.distributed``, whose service takes over the port. The messages contain only process numbers.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
import typing

from blindsr_jax.errors import HostLost

_PAUSE = 0.2  # seconds between attempts to reach process 0


def rendezvous(coordinator: str, processes: int, process_id: int, timeout: float) -> None:
    """Wait until all processes have called process 0.

    Args:
      coordinator: HOST:PORT of process 0.
      processes: number of processes.
      process_id: index of this process, from 0.
      timeout: seconds to wait.

    Raises:
      HostLost: some processes did not call in time; the message gives their numbers.
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
            f"{timeout:.0f} seconds: check the log there, or wait longer with --join_timeout"
        )


def _receive(port: int, processes: int, deadline: float) -> list[int]:
    """Process 0: return the numbers that did not call before the deadline, and send them to those that did."""
    callers: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack, _listen(port) as server:
        while len(callers) < processes - 1 and (left := deadline - time.monotonic()) > 0:
            server.settimeout(left)
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # timeout, or a foreign call
                caller = stack.enter_context(server.accept()[0])
                caller.settimeout(5)
                number = json.loads(_line(caller))["process"]
                if number in range(1, processes):
                    callers[number] = caller
        missing = [number for number in range(1, processes) if number not in callers]
        for caller in callers.values():
            with contextlib.suppress(OSError):
                caller.sendall(json.dumps({"missing": missing}).encode() + b"\n")
                caller.recv(1)  # callers close first, so the port is free at once
    return missing


def _listen(port: int) -> socket.socket:
    """Listen on all addresses of this machine, as JAX's service does."""
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    return socket.create_server(("", port), family=family, dualstack_ipv6=dual, backlog=1024)


def _call(host: str, port: int, process_id: int, deadline: float) -> list[int]:
    """Other processes: return the missing numbers that process 0 sends, or [0] if it does not answer."""
    while (left := deadline - time.monotonic()) > 0:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # not listening yet, or another service
            return _ask(host, port, process_id, left)
        time.sleep(_PAUSE)
    return [0]


def _ask(host: str, port: int, process_id: int, left: float) -> list[int]:
    with socket.create_connection((host, port), timeout=left) as connection:
        connection.sendall(json.dumps({"process": process_id}).encode() + b"\n")
        connection.settimeout(left + 5)  # process 0's deadline is later if it started later
        return [int(number) for number in json.loads(_line(connection))["missing"]]


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < 2**20 and (more := connection.recv(4096)):
        data += more
    return data


def _processes(numbers: typing.Sequence[int]) -> str:
    return "process" if len(numbers) == 1 else "processes"
