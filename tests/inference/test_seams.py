"""Compare a large photograph restored in tiles with the same photograph restored whole."""

import jax
import numpy as np
import pytest
from PIL import Image

from blindsr_jax.degradations import isotropic_gaussian
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.inference.tile_orientations import OrientedTiles
from blindsr_jax.networks import build, init_variables
from tests.conftest import SHARED

_LITE = {"features": 16, "blocks": 4, "upsampler": "single", "skip": "nearest"}
_V1 = {"features": 16, "blocks": 3}


@pytest.fixture(scope="module")
def photograph():
    """2048×1080 pixels of fireworks on a black sky, mirrored on the right; its tiles differ strongly."""
    path = SHARED / "photos" / "valid" / "budgie_spiral-firework.jpg"
    if not path.exists():
        pytest.skip(f"photographs are not part of the project; expected in {SHARED.name}/photos beside it")
    pixels = np.asarray(Image.open(path).convert("RGB"))[100:1180]
    return np.concatenate([pixels, pixels[:, -1:-129:-1]], axis=1)


def _model(sizes):
    """Untrained, but with enlarged attention weights, so that attention depends on the means as after training."""
    network = build("danv1", scale=2, estimator_features=8, estimator_blocks=1, iterations=2, **sizes)
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(441, 10)))[0].astype(np.float32)
    variables = init_variables(network, jax.random.key(0, impl="rbg"), basis)

    def enlarged(path, leaf):
        names = [part.key for part in path]
        return 16 * leaf if "attention" in names and "kernel" in names else leaf

    params = jax.tree_util.tree_map_with_path(enlarged, variables["params"])
    return Model(network, variables | {"params": params})


@pytest.mark.parametrize(
    ("sizes", "part", "tile"),
    [
        pytest.param(_LITE, np.s_[300:940, 300:1000], 256, id="lite"),
        pytest.param(_LITE, np.s_[:], 512, id="lite-large", marks=pytest.mark.drill),
        pytest.param(_V1, np.s_[:], 512, id="danv1-large", marks=pytest.mark.drill),
    ],
)
def test_tiles_are_the_whole_photograph(photograph, sizes, part, tile, monkeypatch):
    """Both get the same kernel, because estimates of untrained weights tell nothing about trained ones."""
    model, image = _model(sizes), np.float32(photograph[part]) / 255
    kernel = np.asarray(isotropic_gaussian(1.6, 21))
    whole = restore_image(model, image, kernel=kernel, tile=0).image

    def apart():
        tiled = restore_image(model, image, kernel=kernel, tile=tile).image
        difference = 255 * np.abs(tiled - whole)
        return difference.max(), difference.mean()

    most, mean = apart()
    assert most < 2 and mean < 0.1
    monkeypatch.setattr(OrientedTiles, "means", lambda tiles, images, windows, side: [{}])
    assert apart()[0] > 2, "tiles with their own means are farther away"
