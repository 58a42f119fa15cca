"""Images restored whole with their rows on several devices (four simulated ones)."""

import functools
import re

import jax
import numpy as np
import pytest

from blindsr_jax.errors import DataError
from blindsr_jax.inference import model as model_module
from blindsr_jax.inference.loading import load
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.networks import build, init_variables

_SIZES = {
    "danv1": {"blocks": 2, "features": 16, "estimator_features": 8, "estimator_blocks": 1, "iterations": 2},
    "dssr": {"blocks": 1, "refine_blocks": 1, "features": 16, "iterations": 2},
}


@functools.cache
def _model(name):
    network = build(name, scale=2, **_SIZES[name])
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(441, 10)))[0].astype(np.float32)
    basis = basis if name == "danv1" else None
    return Model(network, jax.jit(lambda key: init_variables(network, key, basis))(jax.random.key(0, impl="rbg")))


@pytest.mark.parametrize("name", list(_SIZES))
def test_several_devices_restore_what_one_does(name):
    """64 rows divide evenly among the devices, 61 do not."""
    model = _model(name)
    for height in (61,) if name == "danv1" else (64,):
        image = np.random.default_rng(0).random((height, 40, 3), np.float32)
        shared, alone = (restore_image(one, image) for one in (model.shard_rows(), model))
        np.testing.assert_allclose(shared.image, alone.image, atol=1e-5)
        if name == "danv1":
            np.testing.assert_allclose(shared.kernel, alone.kernel, atol=1e-5)
            known = {"kernel": alone.kernel}
            np.testing.assert_allclose(
                restore_image(model.shard_rows(), image, **known).image,
                restore_image(model, image, **known).image,
                atol=1e-5,
            )


@pytest.mark.usefixtures("compile_as_users")
@pytest.mark.parametrize("name", list(_SIZES))
def test_devices_exchange_rows_not_feature_maps(name, monkeypatch):
    """Only the image of three channels or a few columns of a feature map may be gathered."""
    programs, apply = [], model_module.apply

    def kept(*arguments, **options):
        programs.append(apply.lower(*arguments, **options).compile().as_text())
        return apply(*arguments, **options)

    monkeypatch.setattr(model_module, "apply", kept)
    height, width = 64, 40
    _model(name).shard_rows()(np.zeros((1, height, width, 3), np.float32))
    text = programs[0]
    assert "collective-permute" in text
    for shape in re.findall(r"= f32\[([\d,]+)\]\S* all-gather", text):
        sides = [int(side) for side in shape.split(",")]
        assert 3 in sides or np.prod(sides) < height * width * 3, f"[{shape}] is gathered"


def test_what_sees_the_whole_image_is_not_shared():
    with pytest.raises(DataError, match="cannot be shared"):
        load("fixed-gaussian-x2").shard_rows()
