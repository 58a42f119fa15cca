"""A disk that is full: a sentence that says so, exit code 1, and nothing left behind."""

import contextlib
import pathlib
import resource
import shutil
import signal
import subprocess

import numpy as np
import pytest
from PIL import Image

from blindsr_jax.cli import main
from blindsr_jax.errors import DataError
from blindsr_jax.evaluation.report import summarise, write_report
from blindsr_jax.evaluation.scores import Row
from blindsr_jax.images.formats import NAMES

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
KIB = 20  # of the disk


@contextlib.contextmanager
def _small_files():
    """Files of this process may not be larger than the disk would be."""
    limits, before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * KIB, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


@pytest.fixture
def disk(tmp_path):
    """A folder on a small file system; where none may be mounted, a limit on the size of files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={KIB}k", "tmpfs", str(folder)]
    if shutil.which("mount") and subprocess.run(mount, capture_output=True).returncode == 0:
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
    else:
        with _small_files():
            yield folder


def _refused(capsys, *words):
    assert main([str(word) for word in words]) == 1
    said = capsys.readouterr().err
    assert "no space left" in said.lower() or "File too large" in said, said
    assert "Traceback" not in said and "Unknown error" not in said
    return said


@pytest.fixture
def noise(place):
    """A picture that no format makes small."""
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(pixels).save(place / "noise.png")
    return place / "noise.png"


@pytest.mark.parametrize("form", NAMES)
def test_restore_in_each_format(place, noise, disk, capsys, form):
    words = ["restore", noise, "--model", place / "tiny.safetensors", "-o", disk / f"large.{form}"]
    quality = ["--quality", "100"] if form in ("jpg", "webp", "avif") else []
    said = _refused(capsys, *words, *quality)
    assert f"large.{form}: cannot be written" in said
    assert list(disk.iterdir()) == []


def test_degrade(noise, disk, capsys):
    _refused(capsys, "degrade", noise, "--scale", "2", "--noise", "90", "-o", disk / "lr.png")
    assert list(disk.iterdir()) == []


def test_convert(disk, capsys):
    _refused(capsys, "convert", GOLDEN / "danv1.pth", "-o", disk / "danv1.safetensors")
    assert list(disk.iterdir()) == []


def test_reports(disk):
    rows = [Row(f"{i}.png", "blur", None, "blind", psnr_y=30.0, ssim_y=0.9) for i in range(1500)]
    with pytest.raises(DataError, match=r"report\.csv: cannot be written \((No space left|File too large)"):
        write_report(disk, rows, summarise(rows, protocol="gaussian8", scale=2))
    assert list(disk.iterdir()) == []
