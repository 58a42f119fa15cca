"""A run of the page from its form to its result, without a browser."""

import contextlib
import dataclasses

import numpy as np
import pytest
from PIL import Image

from blindsr_jax.demo import restoring, run
from blindsr_jax.demo.model_choices import ModelChoice
from blindsr_jax.demo.run import DRAWN, FOUND, GAUSSIAN, SHARP, SMALL, TRUE, Form
from blindsr_jax.demo.uploads import Picture
from blindsr_jax.errors import DataError
from blindsr_jax.images.colour_profiles import Colours, profile_of
from blindsr_jax.images.metadata import Metadata
from blindsr_jax.images.reading import image_size
from blindsr_jax.images.srgb import srgb_of
from blindsr_jax.inference.loading import load

_ON_PAGE = {
    **{"picture": None, "use": SMALL, "test_x": 1.5, "test_y": 1.0, "test_angle": 30.0, "test_noise": 0.0},
    **{"family": "dan", "scale": 2, "blur": FOUND, "width_x": 1.5, "width_y": 1.5, "angle": 0.0},
    **{"cells": "", "file": None, "noise": 0.0},
}


@pytest.fixture(scope="module")
def model_choices():
    from blindsr_jax.inference.loading import from_bundle
    from tests.inference.conftest import tiny_bundle

    solver = load("usrnet-tiny").at_scale(2)
    return [ModelChoice("dan", "a", "b", {2: from_bundle(tiny_bundle())}), ModelChoice("solver", "c", "d", {2: solver})]


@pytest.fixture
def page(photo):
    return Form(**_ON_PAGE | {"picture": Picture("photo", photo)})


def _last(model_choices, form, folder):
    *stages, last = run.restore(model_choices, form, folder)
    assert all(isinstance(stage, restoring.Progress) for stage in stages)
    return last


def test_files_are_there_while_the_result_is_and_then_gone(model_choices, page, photo, tmp_path):
    stages = run.restore(model_choices, page, tmp_path)
    result = next(stage for stage in stages if not isinstance(stage, restoring.Progress))
    assert result.image_file.name == "photo_x2.png" and np.load(result.kernel_file).shape == (11, 11)
    np.testing.assert_array_equal(np.asarray(Image.open(result.image_file)), result.after)
    assert result.after.shape == result.before.shape == (192, 256, 3) and "256 × 192 pixels" in result.text
    assert [caption for caption, *_ in result.steps] == ["step 1", "step 2", "step 3", "step 4"]
    assert next(stages, None) is None and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("use", [SMALL, SHARP])
def test_results_are_shown_in_srgb(model_choices, page, photo, tmp_path, use):
    profile = profile_of(Colours(gamma=1.0), grey=False)
    plain, linear = (
        _last(model_choices, dataclasses.replace(page, use=use, picture=Picture("photo", photo, colours)), tmp_path)
        for colours in (Metadata(), Metadata(profile))
    )
    wanted = srgb_of(plain.after, profile)
    assert np.abs(wanted.astype(int) - plain.after).max() > 20
    np.testing.assert_array_equal(linear.after, wanted)
    np.testing.assert_array_equal(linear.before, srgb_of(plain.before, profile))
    np.testing.assert_array_equal(linear.steps[0][1], srgb_of(plain.steps[0][1], profile))


def test_a_test_shows_scores_and_both_kernels(model_choices, page, tmp_path):
    result = _last(model_choices, dataclasses.replace(page, use=SHARP), tmp_path)
    assert result.text.startswith("PSNR ") and "bicubic interpolation" in result.text
    assert [caption for caption, _ in result.kernels] == ["true blur", "found blur"]
    assert all(" dB" in caption for caption, *_ in result.steps)


def test_steps_that_are_not_kept_are_explained(model_choices, page, tmp_path, monkeypatch):
    monkeypatch.setattr(restoring, "STEPS", 1000)
    with contextlib.closing(run.restore(model_choices, page, tmp_path)) as stages:
        result = next(stage for stage in stages if not isinstance(stage, restoring.Progress))
        assert image_size(result.image_file) == (192, 256)
    assert "steps are shown of pictures up to 0.00 megapixels" in result.text and result.steps == []
    assert result.after.shape == result.before.shape == (192, 256, 3)


@pytest.mark.slow
def test_the_true_blur_serves_better_than_a_wrong_one(model_choices, page, tmp_path):
    known = dataclasses.replace(page, use=SHARP, family="solver", blur=TRUE)
    scores = [
        float(_last(model_choices, form, tmp_path).text.split()[1])
        for form in (known, dataclasses.replace(known, blur=GAUSSIAN, width_x=3.0, width_y=3.0))
    ]
    assert scores[0] > scores[1] + 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"picture": None}, "Choose a picture first"),
        ({"blur": DRAWN}, "drawing is empty"),
        ({"blur": TRUE}, "cannot work with the choice “The true one”"),
        ({"family": "solver"}, "cannot work with the choice “Find it”"),
        ({"family": "another"}, "offers no model another"),
        ({"picture": Picture("tiny", np.zeros((20, 20, 3), np.uint8)), "use": SHARP}, "tiny has 20×20 pixels"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(model_choices, page, tmp_path, changes, message):
    last = _last(model_choices, dataclasses.replace(page, **changes), tmp_path)
    assert isinstance(last, DataError) and message in str(last) and str(last).endswith(".")
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_expected_goes_to_the_log(model_choices, page, tmp_path, monkeypatch, caplog):
    def broken(*arguments):
        raise RuntimeError("secret")

    monkeypatch.setattr(run.restoring, "run", broken)
    last = _last(model_choices, page, tmp_path)
    assert "Something went wrong" in str(last) and "secret" not in str(last) and "secret" in caplog.text


def test_blurs_that_can_be_told(model_choices):
    dan, solver = model_choices[0].models[2], model_choices[1].models[2]
    assert run.blur_choices(dan, SMALL)[0] == FOUND and TRUE not in run.blur_choices(dan, SMALL)
    assert TRUE in run.blur_choices(dan, SHARP)
    assert FOUND not in run.blur_choices(solver, SHARP) and GAUSSIAN in run.blur_choices(solver, SMALL)


def test_a_result_of_the_pictures_own_size(model_choices, page, photo, tmp_path):
    odd = photo[:95, :127]
    form = dataclasses.replace(page, picture=Picture("odd", odd), same_size=True)
    result = _last(model_choices, form, tmp_path)
    wanted = model_choices[0].models[2].restore(odd, same_size=True)
    assert result.after.shape == odd.shape and np.abs(np.int16(result.after) - np.int16(wanted)).max() <= 1
    np.testing.assert_array_equal(result.before, odd)
    assert result.image_file.name == "odd_restored.png" and result.caption == "the picture as it was"
    assert "shrunk 2 times" in result.text


@pytest.mark.parametrize("channels", [slice(0, 3), 0])
def test_a_picture_with_more_pixels_than_detail_is_shrunk(model_choices, page, photo, tmp_path, monkeypatch, channels):
    monkeypatch.setattr(run, "checked_factor", lambda shrink, *others: 2 if shrink == "auto" else 1)
    pixels = photo[..., channels]
    form = dataclasses.replace(page, picture=Picture("soft", pixels), shrink=True)
    result = _last(model_choices, form, tmp_path)
    whole = model_choices[0].models[2].restore(pixels, shrink=2)
    assert result.before.shape == result.after.shape == (192, 256, 3) and "shrunk 2 times" in result.text
    assert np.abs(np.int16(result.after) - np.int16(whole.reshape(192, 256, -1))).max() <= 1
    assert "shrunk" not in _last(model_choices, dataclasses.replace(form, use=SHARP), tmp_path).text
