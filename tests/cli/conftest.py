import shutil

import numpy as np
import pytest
from PIL import Image

from blindsr_jax.inference.loading import from_bundle
from blindsr_jax.weights.bundle import save_bundle
from tests.inference.conftest import tiny_bundle


@pytest.fixture(scope="session")
def model():
    return from_bundle(tiny_bundle())


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The file of a model that enlarges twice."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    save_bundle(path, tiny_bundle())
    return path


@pytest.fixture
def place(tiny, tmp_path):
    """A folder with a model and some pictures; the model enlarges twice."""
    shutil.copy(tiny, tmp_path)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "c.webp", "deep/d.tiff"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (14, 18, 3), np.uint8)).save(path)
    return tmp_path


@pytest.fixture
def scene(place):
    """A folder ``hr`` with one smooth picture of 72x64 pixels."""
    (place / "hr").mkdir()
    coarse = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 9, 3), np.uint8))
    coarse.resize((72, 64), Image.Resampling.BICUBIC).save(place / "hr" / "x.png")
    return place
