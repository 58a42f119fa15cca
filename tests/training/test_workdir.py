"""A workdir admits one training at a time."""

import subprocess
import sys

import pytest

from blindsr_jax.errors import DataError
from blindsr_jax.training.workdir import alone_in

HOLD = """
import sys
from blindsr_jax.training.workdir import alone_in
with alone_in(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_training_is_refused_while_the_first_runs(tmp_path):
    workdir = tmp_path / "runs" / "dan"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workdir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(DataError, match=f"{workdir}: another training is running there"), alone_in(workdir):
            pass
        first.kill()
    with alone_in(workdir):  # the lock ended with its process
        pass
    assert list(workdir.iterdir()) == []


def test_also_in_the_same_process(tmp_path):
    with alone_in(tmp_path):
        with pytest.raises(DataError, match="another training is running there"), alone_in(tmp_path):
            pass
        with alone_in(tmp_path / "other"):
            pass
    with alone_in(tmp_path):
        pass


def test_a_workdir_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file/run: cannot be written"), alone_in(tmp_path / "file" / "run"):
        pass
