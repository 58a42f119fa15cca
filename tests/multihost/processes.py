"""Real processes of one run on this machine, as the tests and the drill start them."""

import os
import pathlib
import socket
import subprocess
import sys

from tests.compiling import several_devices

ROOT = pathlib.Path(__file__).parents[2]
TINY = ROOT / "tests" / "multihost" / "tiny.py"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def environment(place: pathlib.Path, devices: int) -> dict[str, str]:
    """Of a process with so many CPU devices; programs that process 0 compiled are kept beside the runs."""
    return os.environ | {
        "XLA_FLAGS": several_devices(devices),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(place / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }


def settings(place: pathlib.Path, workdir: pathlib.Path) -> list[str]:
    """The arguments of a run of the tiny config, which validates on the pictures of ``place``."""
    validation = ["--config.validation.source=folder", f"--config.validation.root={place / 'pictures'}"]
    return ["--config", str(TINY), "--workdir", str(workdir), *validation]


def start(place: pathlib.Path, workdir: pathlib.Path, *arguments: str, count: int = 2, devices: int = 1, only=None):
    """Starts the processes of a run, or ``only`` some of them; what they print goes to files in ``place``."""
    port, started = free_port(), []
    for number in range(count) if only is None else only:
        joining = [f"--coordinator=127.0.0.1:{port}", f"--processes={count}", f"--process_id={number}"]
        command = [sys.executable, "-m", "blindsr_jax.main", *settings(place, workdir), *joining, *arguments]
        with open(place / f"{workdir.name}.{number}.log", "ab") as log:
            started.append(subprocess.Popen(command, stderr=log, stdout=log, env=environment(place, devices)))
    return started


def start_locally(place: pathlib.Path, workdir: pathlib.Path, *arguments: str, count: int = 2, devices: int = 1):
    """The same by ``launch/local.sh``: one process, which has the others."""
    command = [ROOT / "launch" / "local.sh", str(count), "--", *settings(place, workdir), *arguments]
    with open(place / f"{workdir.name}.0.log", "ab") as log:
        variables = environment(place, devices) | {"PYTHON": sys.executable}
        return [subprocess.Popen(command, stderr=log, stdout=log, env=variables)]


def wait(started, seconds: float = 300) -> list[int]:
    """The exit codes. Nothing is left running, also when the time is up."""
    try:
        return [process.wait(seconds) for process in started]
    finally:
        for process in started:
            process.kill()


def log_of(place: pathlib.Path, workdir: pathlib.Path, number: int = 0) -> str:
    return (place / f"{workdir.name}.{number}.log").read_text(errors="replace")
