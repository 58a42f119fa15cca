"""What all tests share: fake devices, compiled programs, strict array rules, and where the reference values lie."""

import ctypes
import functools
import os
import pathlib
import shutil
import tempfile
import typing

from tests.compiling import several_devices

# Before jax is imported: four CPU devices, so that every test of sharding runs on any machine.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {several_devices(4)}"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# What a test compiled, later ones and the processes that they start load; it goes when the tests end.
os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="blindsr_jax_tests_")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
# Most programs here run for a moment: not optimised, they are compiled in two thirds of the time.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import jax
import numpy as np
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

MOST_MEMORY = 4 * 2**30
"""Bytes of a process; beyond them, it forgets what it compiled."""
SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"


def pytest_configure(config: pytest.Config) -> None:
    """The order of files is ours, see below, not xdist's."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that no process has one left when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_terminal_summary(terminalreporter: typing.Any) -> None:
    """With --durations: the files that took longest, since a file's tests run in one process."""
    if not terminalreporter.config.option.durations:
        return
    seconds: dict[str, float] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                file = report.nodeid.split("::")[0]
                seconds[file] = seconds.get(file, 0.0) + report.duration
    terminalreporter.section(f"slowest files of {sum(seconds.values()):.0f} seconds in all")
    for file, total in sorted(seconds.items(), key=lambda item: -item[1])[:40]:
        terminalreporter.write_line(f"{total:7.1f}s {file}")


def pytest_unconfigure() -> None:
    """Takes the compiled programs away."""
    shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


def drilled(*values: typing.Any, **options: typing.Any) -> typing.Any:
    """Make a parameter that only the drill takes, because other parameters of the test hold nearly all of it."""
    return pytest.param(*values, marks=pytest.mark.drill, **options)


@pytest.fixture
def compile_as_users(compiled_programs: list[str]) -> typing.Iterator[None]:
    """Programs are optimised as outside of tests: for what is asserted of the program itself, or of its last bits."""
    before = os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1"
    if not compiled_programs:  # in memory, programs are not told apart by this
        jax.clear_caches()
        compiled_programs.append("optimised")
    jax.config.update("jax_disable_most_optimizations", False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "0")  # of processes that a test starts
        yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module", autouse=True)
def compiled_programs() -> typing.Iterator[list[str]]:
    """Kept for the next file, which calls many of the same, unless they are optimised; all would take many gigabytes.

    A test that compiles others notes it in the list.
    """
    others: list[str] = []
    yield others
    if others or _memory() > MOST_MEMORY:
        jax.clear_caches()
        if hasattr(ctypes.CDLL(None), "malloc_trim"):  # glibc would keep the memory, two megabytes a program
            ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture
def nothing_compiled() -> None:
    """Programs of earlier tests are forgotten: for what is asserted of the first call."""
    jax.clear_caches()


def _memory() -> int:
    """Bytes that this process has in memory, or 2**63 where the system does not say."""
    try:
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 2**63


@pytest.fixture(scope="session")
def reference() -> pathlib.Path:
    """The folder of golden values, outputs of the authors' public code."""
    folder = SHARED / "reference"
    if not folder.is_dir():
        pytest.skip(f"golden values are not part of the project; expected in {folder.parent.name}/reference beside it")
    return folder


@pytest.fixture(scope="session")
def benchmarks() -> pathlib.Path:
    """The folder of test images (Set5 and others), never trained on."""
    folder = SHARED / "benchmarks"
    if not folder.is_dir():
        pytest.skip(f"test images are not part of the project; expected in {folder.parent.name}/benchmarks beside it")
    return folder


@pytest.fixture(scope="session")
def published() -> pathlib.Path:
    """The folder of the papers' tables."""
    folder = SHARED / "published"
    if not folder.is_dir():
        pytest.skip(f"the original tables are not part of the project; expected in {folder.parent.name}/published")
    return folder


@functools.cache
def _photo() -> np.ndarray:
    from blindsr_jax.data.sources import open_source

    return open_source("sample", split="validation").read(0)[300:396, 600:728]


@pytest.fixture
def photo() -> np.ndarray:
    """A packaged photograph, central 96×128 pixels: uint8."""
    return _photo().copy()
