"""Reading two thousand broken files (ten thousand in the drill) never crashes, hangs or gives half a picture."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import pyvips

from blindsr_jax.cli import main, restore
from blindsr_jax.types import SROutput
from tests.images.mutations import mutated

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.drill)])
def test_the_reader_survives_broken_files(count):
    """Run in a separate process, so that a crash and any output of a library are noticed."""
    command = [sys.executable, "-m", "tests.images.mutations", "0", str(count)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr
    assert result.stderr == "", "no noise"
    report = json.loads(result.stdout)
    assert sum(report["counts"].values()) == count
    for ending in (".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".avif"):
        assert min(report["counts"][f"{ending} {outcome}"] for outcome in ("whole", "refused")) >= count // 2_000, (
            report
        )
    assert report["above_mib"][0] < 500
    assert report["slowest"][0] < 2


class _Repeating:
    """A model that repeats each pixel twice in both directions."""

    scale, restores, whole_only, kernel_space = 2, True, "", "hr"
    takes_kernel = needs_kernel = takes_padding = False

    def with_watch(self, watch):
        return self

    def __call__(self, lr, *, kernel=None, iterations=None, trace=False, image_only=False):
        return SROutput(sr=np.asarray(lr).repeat(2, 1).repeat(2, 2))


@pytest.mark.slow
def test_restore_writes_whole_pictures_or_nothing(tmp_path, monkeypatch, capsys):
    rng, count = np.random.default_rng(1), 100
    (tmp_path / "in").mkdir()
    for i in range(count):
        name, data = mutated(rng)
        (tmp_path / "in" / f"{i:03}{pathlib.Path(name).suffix or '.png'}").write_bytes(data)
    monkeypatch.setattr(restore, "open_model", lambda arguments: _Repeating())
    command = ["restore", tmp_path / "in", "-o", tmp_path / "out", "--model", "m", "--max-pixels", "100000"]
    assert main(list(map(str, command))) == 1
    said = capsys.readouterr()
    failed = {source for source in (tmp_path / "in").iterdir() if f"blindsr: {source}: " in said.err}
    left = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")}
    well = {source.name.replace(".gif", ".png") for source in (tmp_path / "in").iterdir() if source not in failed}
    assert left == well
    assert f"{len(well)} of {count} written, {len(failed)} failed" in said.out
    assert min(len(well), len(failed)) > 10
    for name in sorted(well - {name for name in well if name.endswith(".bmp")}):
        written = pyvips.Image.new_from_file(str(tmp_path / "out" / name), fail_on="error")
        assert written.avg() >= 0, "every pixel is read"
        assert written.width % 2 == written.height % 2 == 0
