"""Back-projection of pictures: by windows as of the whole, with tiles, and what is refused."""

import types

import numpy as np
import pytest

from blindsr_jax import load, ops
from blindsr_jax.degradations import isotropic_gaussian
from blindsr_jax.errors import DataError
from blindsr_jax.inference.back_projection import back_projected, check_back_projection
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restore import restore_bands, restore_image

RNG = np.random.default_rng(0)
KERNEL = np.asarray(isotropic_gaussian(1.0, 11))


def _picture(height, width):
    coarse = RNG.uniform(0.3, 0.7, (1, height // 4, width // 4, 3)).astype(np.float32)
    return np.asarray(ops.imresize(coarse, 4))[0]


@pytest.mark.parametrize(
    ("border", "downsample"), [("reflect", "bicubic"), ("reflect", "s_fold"), ("circular", "s_fold")]
)
@pytest.mark.parametrize("height", [32, 172])
def test_windows_are_the_whole_image(border, downsample, height):
    lr, sr = _picture(height, 12), RNG.uniform(0.2, 0.8, (2 * height, 24, 3)).astype(np.float32)
    model = types.SimpleNamespace(scale=2, border=border, downsample=downsample)
    bands = iter(np.split(sr, [20, 22, 60]))  # portions of any height
    got = list(back_projected(model, bands, Pixels(lr), 2 * KERNEL, 2))
    options = {"scale": 2, "iterations": 2, "downsample": downsample, "blur_mode": border}
    whole = ops.back_project(sr[None], lr[None], KERNEL[None], **options)
    np.testing.assert_allclose(np.concatenate(got), whole[0], atol=2e-6)
    assert len(got) == (1 if height == 32 or border == "circular" else 3)


def test_whole_pictures_and_tiles_are_corrected_after_they_are_put_together(model):
    lr = _picture(80, 72)
    out = model(lr[None], kernel=KERNEL)
    options = {"scale": 2, "iterations": 2, "downsample": "bicubic"}
    expected = ops.back_project(out.sr, lr[None], KERNEL[None], **options)[0]
    whole = model.restore(lr, kernel=KERNEL, back_project=2)
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    assert np.abs(whole - model.restore(lr, kernel=KERNEL)).max() > 0.01
    tiled = ops.back_project(model.restore(lr, kernel=KERNEL, tile=64)[None], lr[None], KERNEL[None], **options)[0]
    np.testing.assert_allclose(model.restore(lr, kernel=KERNEL, tile=64, back_project=2), tiled, atol=1e-5)


def test_the_corrected_picture_is_nearer_to_its_lr_picture(model):
    lr = np.round(255 * _picture(24, 20)).astype(np.uint8)

    def error(**options):
        sr = np.float32(restore_image(model, lr, kernel=KERNEL, image_only=True, **options).image)[None] / 255
        return np.abs(ops.imresize(ops.blur(sr, KERNEL[None]), 0.5)[0] - np.float32(lr) / 255).mean()

    assert error(back_project=4) < 0.5 * error()
    same_size = restore_bands(model, lr, kernel=KERNEL, same_size=True, back_project=1)
    assert same_size.shape == lr.shape


def test_a_pair_that_wraps_around_is_corrected_so():
    pair = load("kernelnet-x2+usrnet-tiny")
    assert (pair.border, pair.with_border("circular").border, pair.downsample) == ("reflect", "circular", "s_fold")


def _facts(**changed):
    facts = {"network": "Any", "restores": True, "kernel_space": "hr", "estimates_kernel": True, "takes_kernel": True}
    return types.SimpleNamespace(**facts | changed)


def test_models_without_a_usable_kernel_are_refused():
    check_back_projection(_facts(takes_kernel=False), 2)
    check_back_projection(_facts(estimates_kernel=False), 2)
    with pytest.raises(DataError, match="kernel of the LR image"):
        check_back_projection(_facts(kernel_space="lr"), 2)
    without = _facts(estimates_kernel=False, takes_kernel=False)
    with pytest.raises(DataError, match="works without a blur kernel"):
        check_back_projection(without, 2)
    check_back_projection(without, 0)
    with pytest.raises(DataError, match="restores no image"):
        check_back_projection(load("kernelnet-x2"), 2)


@pytest.mark.parametrize("steps", [-1, 1.5, True])
def test_a_wrong_number_of_steps_is_refused(model, steps):
    with pytest.raises(DataError, match="whole number of steps"):
        model.restore(np.zeros((8, 8, 3), np.uint8), back_project=steps)


def test_a_picture_smaller_than_the_kernel_is_refused(model):
    with pytest.raises(DataError, match="back-projection: a 11x11 kernel is too large for a 4x4 image"):
        model.restore(np.zeros((2, 2, 3), np.uint8), kernel=KERNEL, back_project=1)
