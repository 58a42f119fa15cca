"""A user's own network in ``Model`` and in the command is padded only if it takes a region."""

import jax
import numpy as np
import pytest
from PIL import Image

from blindsr_jax.cli import main
from blindsr_jax.cli import restore as command
from blindsr_jax.errors import DataError
from blindsr_jax.images.reading import read_rgb
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.networks import init_variables
from tests.networks.test_region import MaskedRestorer, PlainRestorer

SIZES = [(9, 40), (23, 17), (31, 33)]


@pytest.fixture(scope="module", params=[PlainRestorer, MaskedRestorer], ids=lambda x: x.__name__)
def own(request, model):
    """The tiny DAN with a given Restorer."""
    network = model.module.clone(restorer=request.param())
    basis = model.variables["constants"]["pca_basis"]
    return Model(network, jax.jit(lambda key: init_variables(network, key, basis))(jax.random.key(0, impl="rbg")))


def _picture(size):
    return np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8)


def test_a_padded_image_is_restored_as_alone_or_not_padded(own):
    if isinstance(own.module.restorer, PlainRestorer) and not isinstance(own.module.restorer, MaskedRestorer):
        with pytest.raises(DataError, match="DAN needs images of their own size"):
            own.padded_to([(32, 40)])
        return
    lr = np.float32(_picture((9, 40)))[None] / 255
    got, want = own.padded_to([(32, 40)])(lr), own(lr)
    np.testing.assert_allclose(got.sr, want.sr, atol=1e-5)
    np.testing.assert_allclose(got.kernel, want.kernel, atol=1e-5)


def test_pictures_of_many_sizes_are_restored_as_alone(own, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "open_model", lambda arguments: own)
    (tmp_path / "in").mkdir()
    for size in SIZES:
        Image.fromarray(_picture(size)).save(tmp_path / "in" / f"{size[0]}.png")
    assert main(["restore", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--model", "own"]) == 0
    for size in SIZES:
        difference = np.int32(read_rgb(tmp_path / "out" / f"{size[0]}.png")) - own.restore(_picture(size))
        assert np.abs(difference).max() <= 1


def test_tiles_share_the_kernel_of_the_whole_image(own):
    image = np.float32(_picture((70, 97))) / 255
    whole, tiled = (restore_image(own, image, **options) for options in ({}, {"tile": 64}))
    assert np.abs(tiled.kernel - whole.kernel).max() < 0.02
    assert np.abs(tiled.image - whole.image).mean() < 0.02
