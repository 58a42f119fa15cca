"""Joining the other processes of a run, if there are any."""

from __future__ import annotations

import os
import sys
import threading

import jax

from blindsr_jax.errors import ConfigError, HostLost
from blindsr_jax.hosts.roll_call import roll_call

_SPARE = 60  # seconds that JAX is given beyond our own limit, since its own ends the process with a stack trace


def join(coordinator: str | None, processes: int | None, process_id: int | None, *, timeout: float, lost: int) -> None:
    """Makes this process one of several, before anything else is done with JAX.

    Without arguments JAX looks itself for SLURM, Cloud TPUs, Kubernetes and Open MPI; where it finds none, or with
    ``processes=1``, the process stays alone, and no service is started.

    Args:
      coordinator: HOST:PORT where process 0 can be reached, a free port.
      processes: how many there are.
      process_id: of this one, from 0.
      timeout: seconds to wait for the others.
      lost: seconds without a sign of life after which a process counts as lost.

    Raises:
      ConfigError: the arguments are incomplete, contradict each other, or the port cannot be used.
      HostLost: some processes did not come in time.
    """
    if processes == 1:
        return
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM from training.interrupt
    given = {"coordinator": coordinator, "processes": processes, "process_id": process_id}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 3:
        _join_detected(timeout, lost)
        return
    if coordinator is None or processes is None or process_id is None:
        raise ConfigError(f"--coordinator, --processes and --process_id belong together; --{missing[0]} is missing")
    _check(coordinator, processes, process_id)
    try:
        roll_call(coordinator, processes, process_id, timeout)
    except OSError as error:
        raise ConfigError(f"--coordinator={coordinator}: cannot be used ({error.strerror or error})") from None
    jax.distributed.initialize(
        coordinator,
        processes,
        process_id,
        cluster_detection_method="deactivate",
        initialization_timeout=round(timeout),
        heartbeat_timeout_seconds=lost,
    )


def _check(coordinator: str, processes: int, process_id: int) -> None:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ConfigError(f"--coordinator must be HOST:PORT, got {coordinator!r}")
    if not 0 <= process_id < processes:
        raise ConfigError(f"--process_id must be 0 to {processes - 1} of --processes={processes}, got {process_id}")


def _join_detected(timeout: float, lost: int) -> None:
    """Joins what JAX finds in the environment; returns if that is nothing."""
    timer = threading.Timer(timeout, _give_up, [timeout])
    timer.daemon = True
    timer.start()
    try:
        jax.distributed.initialize(
            initialization_timeout=round(timeout) + _SPARE,
            heartbeat_timeout_seconds=lost,
        )
    except ValueError as error:
        if "should be defined" not in str(error) and "must be defined" not in str(error):
            raise
    except RuntimeError as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"JAX finds a cluster here and cannot join it ({line}); --processes=1 trains on this host alone"
        ) from error
    finally:
        timer.cancel()


def _give_up(timeout: float) -> None:
    """Ends a process that waits inside JAX; its registration does not say whom it waits for."""
    print(
        f"blindsr_jax: not all processes of the cluster joined within {timeout:.0f} seconds: look at their logs, or "
        "wait longer with --join_timeout",
        file=sys.stderr,
        flush=True,
    )
    os._exit(HostLost.exit_code)
