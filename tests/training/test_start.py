"""Warm starts from the parameters of another model."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from blindsr_jax import config as config_lib
from blindsr_jax.errors import BlindSRError, ConfigError, WeightsError
from blindsr_jax.training.results import bundle_of
from blindsr_jax.training.setup import batches_of, state_of, training_source, updates_of, validation_of
from blindsr_jax.training.sharding import data_mesh, put_batch
from blindsr_jax.weights.bundle import save_bundle
from tests.training.conftest import tiny_config


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A bundle of the tiny network at ×2, with another seed than the runs."""
    config = tiny_config(seed=5)
    path = tmp_path_factory.mktemp("given") / "given.safetensors"
    save_bundle(path, bundle_of(config, state_of(config, data_mesh())))
    return path, state_of(config, data_mesh()).params


def _equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_a_run_begins_with_the_parameters_of_a_bundle(given):
    path, params = given
    state = state_of(tiny_config(**{"start_from": str(path), "optimizer.ema_decay": 0.9}), data_mesh())
    assert _equal(state.params, params)
    assert _equal(state.ema, params)
    assert not _equal(state_of(tiny_config(), data_mesh()).params, params)


def test_another_scale_draws_only_what_has_another_shape(given):
    path, params = given
    config = tiny_config(**{"start_from": str(path), "model.scale": 3, "degradation.sigma": (0.2, 3.0)})
    started, given = flatten_dict(state_of(config, data_mesh()).params, sep="/"), flatten_dict(params, sep="/")
    other = {name for name, x in started.items() if x.shape != given[name].shape or not np.array_equal(x, given[name])}
    assert other == {name for name in started if name.startswith("restorer/upscale")}


def test_a_larger_network_of_the_same_scale_takes_all_in_its_first_places(given):
    path, params = given
    larger = {"model.features": 6, "model.blocks": 3, "model.conditions": ("noise",)}
    config = tiny_config(**{"start_from": str(path), **larger})
    started, alone = (flatten_dict(state_of(c, data_mesh()).params, sep="/") for c in (config, tiny_config(**larger)))
    small, grown = flatten_dict(params, sep="/"), 0
    for name, x in started.items():
        first = tuple(slice(length) for length in small[name].shape)
        np.testing.assert_array_equal(x[first], small[name], err_msg=name)
        rest = np.ones(x.shape, bool)
        rest[first] = False
        np.testing.assert_array_equal(np.asarray(x)[rest], np.asarray(alone[name])[rest], err_msg=name)
        grown += x.shape != small[name].shape
    assert grown > 3


def test_it_trains_as_any_other(given):
    path, params = given
    config, mesh = tiny_config(**{"start_from": str(path), "optimizer.warmup": 0}), data_mesh()
    batch = next(batches_of(config, training_source(config), 0))
    state, metrics = updates_of(config, mesh)(1)(state_of(config, mesh), put_batch(mesh, batch))
    assert np.isfinite(metrics["loss"])
    assert not _equal(state.params, params)


def test_the_recipe_names_the_model_without_its_folder(given):
    config = tiny_config(start_from=str(given[0]))
    source = bundle_of(config, state_of(config, data_mesh())).metadata["source"]
    assert source["config"]["start_from"] == "given.safetensors"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [("absent.safetensors", WeightsError, "no such file"), ("dpir-tv", ConfigError, "no parameter of dpir-tv")],
)
def test_what_cannot_be_started_from_is_named(name, error, message):
    assert issubclass(error, BlindSRError)
    with pytest.raises(error, match=message):
        state_of(tiny_config(start_from=name), data_mesh())


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (config_lib.default("dan_lite", 2), "gaussian8"),
        (config_lib.setting2(config_lib.default("dan_lite", 2)), "anisotropic8"),
    ],
)
@pytest.mark.parametrize(("noise", "said"), [((0.0, 0.0), ""), ((0.0, 15.0), " with noise of 7.5/255")])
def test_a_run_is_validated_by_what_it_is_trained_on(config, name, noise, said):
    config = config_lib.ConfigDict(config.to_dict())
    config.degradation.noise = noise
    _, protocol = validation_of(config)
    assert protocol.name == name + said
