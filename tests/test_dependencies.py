"""What the package needs: what only training uses is not asked for by whoever restores, converts or evaluates."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

TRAINING_ONLY = ("ml_collections", "optax", "orbax", "clu", "tensorboard", "tensorflow", "tensorflow_datasets")
BLOCKED = f"""
import sys
sys.modules.update(dict.fromkeys({TRAINING_ONLY}))
"""
LIBRARY = """
import numpy as np
import blindsr_jax
model = blindsr_jax.load("dan-lite-x2")
assert model.restore(np.zeros((9, 8, 3), np.uint8)).shape == (18, 16, 3)
"""
COMMAND = """
from blindsr_jax.cli import main
sys.exit(main(sys.argv[1:]))
"""


def _run(code, *arguments):
    command = [sys.executable, "-c", BLOCKED + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_restoring_in_python():
    result = _run(LIBRARY)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_commands_that_do_not_train(tmp_path, photo):
    picture, folder = tmp_path / "photo.png", tmp_path / "photos"
    folder.mkdir()
    for path in (picture, folder / "photo.png"):
        Image.fromarray(photo[:48, :64]).save(path)
    commands = [
        ["models"],
        ["restore", picture, "-o", tmp_path / "out.png", "--model", "dan-lite-x2"],
        ["evaluate", "--data", folder, "-o", tmp_path / "report", "--model", "dan-lite-x2"],
        ["convert", tmp_path / "none.pth", "-o", tmp_path / "model.safetensors"],
        ["convert", folder, "-o", tmp_path / "model.safetensors"],
    ]
    results = [_run(COMMAND, *command) for command in commands]
    assert [result.returncode == 0 for result in results] == [True] * 3 + [False] * 2, [r.stderr for r in results]
    assert np.asarray(Image.open(tmp_path / "out.png")).shape == (96, 128, 3)
    assert "no such file" in results[3].stderr.lower()
    assert "pip install -e '.[train]'" in results[4].stderr


def test_training_says_what_it_needs():
    result = _run("import blindsr_jax.main")
    assert result.returncode == 1
    assert "training needs ml_collections: in your clone of the repository, pip install -e '.[train]'" in result.stderr
