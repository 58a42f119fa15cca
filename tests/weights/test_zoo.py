"""The packaged weights load by name, and their metadata suffices to repeat their training."""

import json

import numpy as np
import pytest

import blindsr_jax
from blindsr_jax.errors import DataError
from blindsr_jax.weights.bundle import load_bundle
from blindsr_jax.weights.zoo import PACKAGED, default_model

FILES = sorted(PACKAGED.glob("*.safetensors"))


def test_the_weights_are_there_and_small():
    ours = ["x2", "x3", "x4", "aniso-x2", "aniso-x4", "noise-x4", "photo-x2", "photo-x4"]
    others = ["kernelnet-x2", "kernelnet-x4", "kernelnet-shaken-x2", "kernelnet-shaken-x4", "usrnet-tiny"]
    assert {path.stem for path in FILES} == {*(f"dan-lite-{name}" for name in ours), *others}
    assert sum(path.stat().st_size for path in FILES) < 25e6


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_recipe_and_scores_stand_in_the_file(path):
    bundle = load_bundle(path)
    source = bundle.metadata["source"]
    assert {"seed", "steps", "optimizer", "data", "degradation"} <= source["config"].keys()
    assert source["steps"] <= source["config"]["steps"]
    assert bundle.metadata["scores"]
    assert "/" not in json.dumps(source["config"]), "no folder of the machine it was trained on"
    assert blindsr_jax.models()[path.stem]


@pytest.mark.parametrize("scale", [2, 4])
def test_estimator_and_solver_by_name(scale, photo):
    model = blindsr_jax.load(f"kernelnet-x{scale}+usrnet-tiny")
    restored = model.restore(photo[:48, :64])
    assert restored.shape == (48 * scale, 64 * scale, 3) and restored.dtype == np.uint8
    assert np.abs(restored[::scale, ::scale].astype(int) - photo[:48, :64]).mean() < 30


def test_the_default_model_restores_at_the_scale_asked_for():
    assert blindsr_jax.load(default_model()).scale == 4
    for scale in (2, 3, 4):
        model = blindsr_jax.load(default_model(scale))
        assert model.restores and model.scale == scale
    with pytest.raises(DataError, match="--scale 5: packaged models restore at scales"):
        default_model(5)
