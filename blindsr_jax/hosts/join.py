"""Joining the other processes of a run."""

from __future__ import annotations

import os
import sys
import threading

import jax

from blindsr_jax.errors import ConfigError, HostLost
from blindsr_jax.hosts.rendezvous import rendezvous

_SPARE = 60  # seconds that JAX's timeout exceeds ours; when JAX's expires, the process ends with a stack trace


def join(coordinator: str | None, processes: int | None, process_id: int | None, *, timeout: float, lost: int) -> None:
    """Join this process to the others of a run. Call it before any other use of JAX.

    Without arguments, JAX detects SLURM, Cloud TPUs, Kubernetes and Open MPI. If it detects none, or with
    ``processes=1``, the process runs alone and no service is started.

    Args:
      coordinator: HOST:PORT of process 0; the port must be free.
      processes: number of processes.
      process_id: index of this process, from 0.
      timeout: seconds to wait for the other processes.
      lost: seconds without a heartbeat after which a process counts as lost.

    Raises:
      ConfigError: the arguments are incomplete or contradictory, or the port cannot be used.
      HostLost: some processes did not join in time.
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
        raise ConfigError(f"--coordinator, --processes and --process_id go together; --{missing[0]} is missing")
    _check(coordinator, processes, process_id)
    try:
        rendezvous(coordinator, processes, process_id, timeout)
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
    """Join the cluster that JAX detects in the environment, or return if there is none."""
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
            f"JAX detected a cluster but cannot join it ({line}); use --processes=1 to train on this host alone"
        ) from error
    finally:
        timer.cancel()


def _give_up(timeout: float) -> None:
    """Exit a process that waits inside JAX, whose registration does not say which processes are missing."""
    print(
        f"blindsr_jax: not all processes of the cluster joined within {timeout:.0f} seconds: check their logs, or "
        "wait longer with --join_timeout",
        file=sys.stderr,
        flush=True,
    )
    os._exit(HostLost.exit_code)
