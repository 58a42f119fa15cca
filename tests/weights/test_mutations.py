"""Loading damaged weight files, some hundred (ten thousand in the drill), never crashes, hangs or runs their code."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.drill)])
def test_the_loader_survives_damaged_files(count):
    """Run in a separate process, so that a crash and any output of a library are noticed."""
    command = [sys.executable, "-m", "tests.weights.mutations", "1", str(count)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert result.returncode == 0, result.stderr
    assert result.stderr == "", "no noise"
    report = json.loads(result.stdout)
    assert sum(report["counts"].values()) == count
    for suffix in (".pth", ".safetensors"):
        assert min(report["counts"][f"{suffix} {outcome}"] for outcome in ("whole", "refused")) >= count // 200
    assert report["above_mib"][0] < 500
    assert report["slowest"][0] < 2
