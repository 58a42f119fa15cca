"""The wheel: what somebody who has only it can do."""

import os
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.compiling import ONE_DEVICE

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A folder with the contents of a freshly built wheel, nothing else of the clone."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel: pip install -e '.[test]'")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(folder)]
    built = subprocess.run([*command, str(ROOT)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def _run(unpacked, cwd, *arguments):
    own = {"PYTHONPATH": str(unpacked), "XLA_FLAGS": ONE_DEVICE, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    environment = os.environ | own
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)


def test_it_holds_configs_weights_photographs_and_notices(unpacked):
    package = unpacked / "blindsr_jax"
    for folder, pattern in [("", "**/*.py"), ("weights/packaged", "*"), ("data/sample", "**/*"), ("evaluation", "*/*")]:
        expected = {
            path.relative_to(ROOT / "blindsr_jax")
            for path in (ROOT / "blindsr_jax" / folder).glob(pattern)
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert expected and all((package / path).is_file() for path in expected), folder
    assert {path.name for path in (ROOT / "configs").glob("*.py")} == {
        p.name for p in (package / "configs").glob("*.py")
    }
    assert list(unpacked.glob("*.dist-info/licenses/LICENSE"))
    assert sum(path.stat().st_size for path in (package / "weights" / "packaged").iterdir()) <= 25e6


@pytest.mark.slow
def test_a_photo_is_restored_without_any_other_file(unpacked, tmp_path, photo):
    Image.fromarray(photo[:48, :64]).save(tmp_path / "photo.jpg")
    result = _run(unpacked, tmp_path, "blindsr_jax.cli", "restore", "photo.jpg", "-o", "out.png")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (256, 192)
        assert np.asarray(image).std() > 10


def test_a_training_finds_its_config(unpacked, tmp_path):
    result = _run(unpacked, tmp_path, "blindsr_jax.main", "--config", "dan_x4", "--workdir", "x", "--config.steps=0")
    assert result.returncode == 2
    assert "config.steps must be at least 1" in result.stderr
