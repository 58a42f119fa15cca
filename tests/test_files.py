"""Written whole or not at all, and nothing is left behind."""

import os
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest

from blindsr_jax.cli.jobs import run_jobs
from blindsr_jax.cli.kernel_files import write_kernel
from blindsr_jax.errors import DataError
from blindsr_jax.files import atomic_path, write_text
from blindsr_jax.images.reading import ImageFile
from blindsr_jax.images.writing import write_image

KILLED = """
import os, pathlib, signal, sys
from blindsr_jax.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
WRITES = "import sys; from blindsr_jax.files import write_text; write_text(sys.argv[1], 'whole')"


def _run(code, path):
    return subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode


def test_what_a_killed_process_left_is_swept_by_the_next_one(tmp_path):
    assert _run(KILLED, tmp_path / "a.png") == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    assert left.name.startswith(".") and left.suffix == ".png"
    assert _run(WRITES, tmp_path / "b.txt") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


def test_what_a_killed_command_left_is_swept_where_all_is_skipped(tmp_path, capsys):
    assert _run(KILLED, tmp_path / "a.png.compare.jpg") == -signal.SIGKILL
    (tmp_path / "a.png").touch()
    assert run_jobs([(tmp_path / "in.png", tmp_path / "a.png")], lambda *_: None, overwrite=False, verb="x") == 0
    assert "1 skipped" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_what_is_being_written_is_not_swept(tmp_path):
    with atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("slow")
        assert _run(WRITES, tmp_path / "b.txt") == 0
    assert (tmp_path / "a.txt").read_text() == "slow"


def test_what_another_machine_left_is_swept_after_a_day(tmp_path):
    old, new = (tmp_path / f".0123abcd-1-0123456{n}.partial.png" for n in (7, 8))
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (0, 0))
    write_text(tmp_path / "b.txt", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [new.name, "b.txt"]


@pytest.mark.parametrize("name", ["x" * 251 + ".png", "é" * 125 + ".png"])
def test_the_longest_names(tmp_path, name):
    write_text(tmp_path / name, "whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_failure_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        _ = 1 / 0
    with pytest.raises(DataError, match=r"b\.txt: cannot be written"), atomic_path(tmp_path / "b.txt"):
        pass  # nothing was written
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_the_content_is_on_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append(os.readlink(f"/proc/self/fd/{file}")), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("renamed"), replace(a, b)))
    write_text(tmp_path / "a.txt", "x")
    assert len(done) == 3
    assert ".partial" in done[0]
    assert done[1:] == ["renamed", str(tmp_path)]


@pytest.fixture
def umask():
    before = os.umask(0)
    yield os.umask
    os.umask(before)


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400, 0o666])
def test_a_file_that_is_replaced_leaves_its_permissions(tmp_path, umask, mode):
    umask(0o022)
    write_text(tmp_path / "a.txt", "old")
    (tmp_path / "a.txt").chmod(mode)
    with atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        assert _mode(temporary) & 0o077 == 0, "nobody else may read it while it is written"
    assert (tmp_path / "a.txt").read_text() == "new"
    assert _mode(tmp_path / "a.txt") == mode


@pytest.mark.parametrize(("mask", "mode"), [(0, 0o664), (0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_new_files_are_not_writable_by_everyone(tmp_path, umask, mask, mode):
    umask(mask)
    write_text(tmp_path / "a.txt", "x")
    write_kernel(tmp_path / "a.png", np.ones((3, 3)))
    write_image(tmp_path / "a.png", ImageFile(np.zeros((8, 8, 3), np.uint8)))
    assert {path.name: _mode(path) for path in tmp_path.iterdir()} == dict.fromkeys(
        ("a.txt", "a.png", "a.png.kernel.npy", "a.png.kernel.png"), mode
    )


def test_a_block_that_writes_nothing_replaces_nothing(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(DataError, match="nothing was written"), atomic_path(tmp_path / "a.txt"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"
    write_text(tmp_path / "a.txt", "")
    assert (tmp_path / "a.txt").read_text() == ""


def test_a_kernel_that_finds_no_space(tmp_path):
    code = """
import resource, signal, sys, numpy as np
from blindsr_jax.cli.kernel_files import write_kernel
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
write_kernel(__import__("pathlib").Path(sys.argv[1]), np.ones((99, 99)))
"""
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], capture_output=True, text=True)
    assert "DataError" in result.stderr
    assert "there is no space left" in result.stderr
    assert not list(tmp_path.iterdir())
