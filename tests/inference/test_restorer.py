"""Models, solvers at a scale and pipelines share one interface and reject unsupported options at the first call."""

import inspect

import numpy as np
import pytest

from blindsr_jax.errors import DataError
from blindsr_jax.inference.loading import load
from blindsr_jax.inference.pipeline import pipeline
from blindsr_jax.inference.restore import restore_bands, restore_image
from blindsr_jax.inference.restorer import Restorer

_MEMBERS = [name for name in vars(Restorer) if not name.startswith("_") or name == "__call__"]


@pytest.fixture(scope="module")
def solver():
    return load("dpir-tv")


@pytest.fixture(params=["model", "estimator", "solver at a scale", "pipeline"])
def restorer(request, model, solver):
    estimator = load("fixed-gaussian-x2")
    every = {"model": model, "estimator": estimator, "solver at a scale": solver.at_scale(2)}
    return (every | {"pipeline": pipeline(estimator, solver)})[request.param]


def test_all_have_every_member_of_the_protocol(restorer):
    assert {"scale", "restore", "tile_context", "__call__"} < set(_MEMBERS)
    for name in _MEMBERS:
        wanted, found = vars(Restorer)[name], getattr(restorer, name)
        if not isinstance(wanted, property):
            known = inspect.signature(found).parameters
            assert set(inspect.signature(wanted).parameters) - {"self"} <= set(known), name


def test_a_misspelt_option_is_named_at_the_first_call(model, solver):
    image = np.zeros((8, 8, 3), np.uint8)
    calls = [
        lambda: model.restore(image, tyle=64),
        lambda: solver.restore(image, kernel=np.ones((3, 3)), scale=2, tyle=64),
        lambda: restore_image(model, image, tyle=64),
        lambda: restore_bands(model, image, tyle=64),
        lambda: model(image[None], tyle=64),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="tyle"):
            call()


def test_choices_leave_the_model_as_it_was(model, solver):
    at_two = solver.at_scale(2)
    assert at_two.with_sigma(0.1).sigma == 0.1 and at_two.sigma == 0
    assert at_two.with_border("circular").whole_only and not at_two.whole_only
    assert model.padded_to([(32, 32)]).shapes and not model.shapes
    assert model.shard_rows().whole_only and not model.whole_only
    with pytest.raises(AttributeError):
        model.shapes = ((32, 32),)


def test_what_does_not_suit_is_named(model, solver):
    joined = pipeline(load("fixed-gaussian-x2"), solver)
    cases = [
        (lambda: solver.at_scale(7), "scales 1, 2, 3, 4, not 7"),
        (lambda: model.at_scale(3), "works at scale 2, not 3"),
        (lambda: joined.at_scale(3), "works at scale 2, not 3"),
        (lambda: solver.in_precision("bfloat16"), "needs float32"),
        (lambda: joined.in_precision("bfloat16"), "needs float32"),
        (lambda: solver.with_kernel_window(64), "estimates no kernel"),
        (lambda: model.with_sigma(0.1), "takes no noise level"),
        (lambda: joined.padded_to([(32, 32)]), "images of their own size"),
        (lambda: joined.shard_rows(), "cannot be shared"),
        (lambda: model.shard_rows().restore(np.zeros((70, 70, 3)), tile=64), "leave tiles out"),
    ]
    for call, message in cases:
        with pytest.raises(DataError, match=message):
            call()
    assert model.with_border("circular") is model.at_scale(2) is model
