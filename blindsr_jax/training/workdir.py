"""The workdir of a run: its lock, its recorded config, and the check that all hosts see the same folder."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pathlib
import time
import typing

import filelock
from ml_collections import ConfigDict

from blindsr_jax import config as config_lib
from blindsr_jax.errors import ConfigError, DataError
from blindsr_jax.files import write_text
from blindsr_jax.hosts import all_or_none, gathered, is_first

log = logging.getLogger(__name__)

# Settings that do not change the parameters of a run.
_WITHOUT_EFFECT = ("checkpoint.", "validation.", "log_every", "watchdog_seconds", "data.workers", "data.cache_gib")

_SLOW_FILE_SYSTEM = 60  # seconds
_LOCK = ".lock"


@contextlib.contextmanager
def alone_in(workdir: str | os.PathLike) -> typing.Iterator[None]:
    """Make the workdir and lock it against other trainings. All processes call it together; process 0 holds the lock.

    The lock is released when the process ends, even if it is killed.

    Raises:
      DataError: another training is running in the workdir, or it cannot be written.
    """
    workdir = pathlib.Path(workdir)
    lock = filelock.FileLock(workdir / _LOCK, timeout=0)
    with all_or_none():
        if is_first():
            _acquire(lock, workdir)
    try:
        yield
    finally:
        if lock.is_locked:
            (workdir / _LOCK).unlink(missing_ok=True)
            lock.release()


def _acquire(lock: filelock.BaseFileLock, workdir: pathlib.Path) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise DataError(
            f"{workdir}: another training is running there; wait for it, end it, or give another --workdir"
        ) from None
    except NotImplementedError:
        log.warning("%s: its file system has no locks; see that no other training runs there", workdir)
    except OSError as error:
        raise DataError(f"{workdir}: cannot be written ({error.strerror or error})") from error


def claim_workdir(config: ConfigDict, workdir: str | os.PathLike) -> None:
    """Record the config in the workdir. If the workdir has checkpoints, first check that this config can resume them.

    All processes call it together.

    Raises:
      ConfigError: the workdir has checkpoints of another network or optimiser, and is left unchanged; or the config of
        this process differs from that of process 0.
      DataError: the workdir cannot be written, or this process does not see the file that process 0 wrote.
    """
    workdir = pathlib.Path(workdir)
    text = config_lib.to_json(config) + "\n"
    with all_or_none():
        if any(path.name.isdigit() for path in (workdir / "checkpoints").glob("*")):
            check_same_run(config, workdir)
            if is_first():
                _tell_changes(config, workdir)
    with all_or_none():
        if is_first():
            write_text(workdir / "config.json", text)
    with all_or_none():
        _check_shared(workdir, text, gathered(text)[0])


def _check_shared(workdir: pathlib.Path, ours: str, firsts: str) -> None:
    """Check that this process has the config of process 0 and sees its file. Waits, since network files appear late."""
    if ours != firsts:
        raise ConfigError("the processes were started with different settings: give all of them the same command")
    deadline = time.monotonic() + _SLOW_FILE_SYSTEM
    while not (workdir / "config.json").exists():
        if time.monotonic() > deadline:
            raise DataError(f"{workdir}: not the folder that process 0 writes to; all hosts must share a file system")
        time.sleep(0.5)


def check_same_run(config: ConfigDict, workdir: str | os.PathLike) -> None:
    """Raise ConfigError unless a config describes the same network and optimiser arrays as the workdir's config."""
    before, now = _identity(ConfigDict(recorded_config(workdir))), _identity(config)
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if names:
        changes = ", ".join(f"{name}={before.get(name)!r}, now {now.get(name)!r}" for name in names)
        raise ConfigError(
            f"{workdir} holds a run of another model ({changes}): "
            "give another --workdir, or the config it was started with"
        )


def _tell_changes(config: ConfigDict, workdir: pathlib.Path) -> None:
    """Log the settings that differ from the recorded ones, as a warning if the numbers of the run depend on them."""
    changes = _changes(config, workdir)
    harmless = {name: text for name, text in changes.items() if name.startswith(_WITHOUT_EFFECT)}
    if harmless:
        log.info("settings that this run had not before: %s", ", ".join(harmless.values()))
    if others := [text for name, text in changes.items() if name not in harmless]:
        log.warning(
            "this run goes on with other settings than before, so it will not end with the numbers of a run that has "
            "them from the start: %s",
            ", ".join(others),
        )


def _changes(config: ConfigDict, workdir: pathlib.Path) -> dict[str, str]:
    """The settings that differ from the recorded config, each in words. Excludes the number of steps."""
    as_recorded = json.loads(config_lib.to_json(config))
    before, now = (config_lib.flat(ConfigDict(settings)) for settings in (recorded_config(workdir), as_recorded))
    names = [name for name in now if name not in ("config_hash", "steps") and before.get(name) != now[name]]
    return {name: f"{name}={now[name]!r} (was {before.get(name)!r})" for name in names}


def _identity(config: ConfigDict) -> dict[str, typing.Any]:
    """The settings that must not change on resume: the network's sizes, the optimiser, and whether it averages."""
    sizes = {f"model.{name}": value for name, value in config_lib.model_sizes(config).items()}
    averaged = {"an average of the parameters (optimizer.ema_decay)": config.optimizer.ema_decay > 0}
    return sizes | averaged | {"optimizer.kind": config.optimizer.get("kind", "adam")}


def recorded_config(workdir: str | os.PathLike) -> dict[str, typing.Any]:
    """The config with which the run in a workdir was started or last resumed.

    Raises:
      DataError: the workdir has no run, or its config cannot be read.
    """
    path = pathlib.Path(workdir) / "config.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{workdir}: no training run here (there is no config.json); train first") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
