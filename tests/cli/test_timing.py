"""Timing measures a whole restoration; the memory is that of the compiled network."""

import jax
import numpy as np
import pytest

from blindsr_jax.cli import timing
from blindsr_jax.errors import DataError
from blindsr_jax.inference.loading import load

pytestmark = pytest.mark.usefixtures("nothing_compiled")


def _temporaries(model, side):
    """XLA's memory analysis of the network alone."""
    lr = jax.ShapeDtypeStruct((1, side, side, 3), "float32")
    call = jax.jit(lambda variables, lr: model.module.apply(variables, lr, image_only=True))
    return call.lower(model.variables, lr).compile().memory_analysis().temp_size_in_bytes


def test_a_size_is_compiled_once_then_called_again(model):
    ticks = []
    found = timing.time_model(model, 23, 3, advance=lambda: ticks.append(1))
    assert (found.side, found.pixels, len(found.seconds), len(ticks)) == (23, 46 * 46, 3, 4)
    assert found.temporaries == _temporaries(model, 23) > 0
    again = timing.time_model(model, 23, 1)
    assert (again.temporaries, again.bytes_per_pixel) == (None, None), "nothing was compiled"


def test_a_later_size_is_not_charged_for_an_earlier_one(model):
    large, small = (timing.time_model(model, side, 1) for side in (37, 13))
    assert small.temporaries == _temporaries(model, 13) < large.temporaries


def test_figures_follow_from_the_seconds():
    found = timing.Timing(side=10, first_seconds=9.0, seconds=(4.0, 1.0, 2.0), pixels=1600, temporaries=4800)
    assert (found.median, found.megapixels_per_second, found.bytes_per_pixel) == (2.0, 0.0008, 3.0)


def test_a_solver_is_told_a_blur_and_an_estimator_counts_its_own_pixels():
    solver = load("dpir-tv").at_scale(2)
    found = timing.time_model(solver, 16, 1, iterations=1)
    assert found.pixels == 32 * 32 and found.temporaries > 4 * 3 * found.pixels
    assert timing.time_model(load("fixed-gaussian-x2"), 16, 1).pixels == 16 * 16


def test_a_picture_that_the_model_refuses(model):
    with pytest.raises(DataError, match="iterations must be at least 1"):
        timing.time_model(model, 8, 1, iterations=0)


def test_the_same_pixels_are_restored_as_by_restore(model, monkeypatch):
    seen = []
    monkeypatch.setattr(timing, "restore_image", lambda model, image, **options: seen.append((image, options)))
    timing.time_model(model, 8, 2, self_ensemble=True)
    assert len(seen) == 3
    for image, options in seen:
        np.testing.assert_array_equal(image, seen[0][0])
        assert image.dtype == np.uint8 and options["self_ensemble"] and options["image_only"]
