"""Pictures with more pixels than detail are shrunk before they are restored."""

import io

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image, ImageDraw, ImageFont

from blindsr_jax.data.sources import open_source
from blindsr_jax.errors import DataError
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.inference.shrinking import measure, shrink_factor, shrunk

PHOTOS = [open_source("sample", split="validation").read(i)[:704, :704] for i in range(2)]


def _text():
    page = Image.new("RGB", (640, 480), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(18)
    for i in range(24):
        draw.text((8, 20 * i), f"{i}: the quick brown fox jumps over the lazy dog, 0123456789", "black", font)
    return np.asarray(page)


def _drawing():
    page = Image.new("RGB", (600, 600), (250, 240, 200))
    draw = ImageDraw.Draw(page)
    for i in range(12):
        draw.ellipse((20 * i, 15 * i, 20 * i + 150, 15 * i + 220), (20 * i, 255 - 20 * i, 90), "black", 3)
    return np.asarray(page)


def _blurred(image, sigma, noise=0.0):
    image = scipy.ndimage.gaussian_filter(image.astype(float), (sigma, sigma, 0))
    image += noise * np.random.default_rng(0).normal(size=image.shape)
    return image.clip(0, 255).round().astype(np.uint8)


def _jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("image", [*PHOTOS, _text(), _drawing()], ids=["photo", "another", "text", "drawing"])
def test_sharp_pictures_are_never_shrunk_however_noisy_or_compressed(image):
    rng = np.random.default_rng(0)
    noisy = (image + 8 * rng.normal(size=image.shape)).clip(0, 255).astype(np.uint8)
    assert [shrink_factor(x) for x in (image, noisy, _jpeg(image, 40), _jpeg(image, 90))] == [1, 1, 1, 1]
    assert measure(image).sharpness > 0.3


@pytest.mark.parametrize("image", PHOTOS, ids=["photo", "another"])
def test_soft_photographs_are_shrunk_if_they_are_noisy_or_compressed(image):
    soft = _blurred(image, 2.5)
    assert shrink_factor(soft) == 1, "a clean picture is left to the model"
    assert shrink_factor(_blurred(image, 2.5, noise=8)) >= 2
    assert shrink_factor(_jpeg(soft, 40)) >= 2
    assert shrink_factor(_jpeg(_blurred(image, 6), 40)) == 4


@pytest.mark.parametrize("shape", [(16, 16, 3), (9, 200), (200, 200, 4), (130, 131, 1)])
@pytest.mark.parametrize("value", [0, 255])
def test_pictures_without_anything_are_left_alone(shape, value):
    assert shrink_factor(np.full(shape, value, np.uint8)) == 1


@pytest.mark.parametrize("shape", [(50, 37), (50, 37, 1), (50, 37, 3), (50, 37, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_result_has_the_size_and_kind_that_are_asked_for(model, shape, dtype):
    levels = 1 if dtype == np.float32 else np.iinfo(dtype).max
    image = (np.random.default_rng(0).random(shape) * levels).astype(dtype)
    for options, scale, factor in (({"shrink": 3}, 2, 3), ({"same_size": True}, 1, 2), ({"shrink": 1}, 2, 1)):
        restored = restore_image(model, image, **options)
        assert restored.image.shape == (scale * 50, scale * 37, *shape[2:])
        assert restored.image.dtype == dtype and restored.shrunk == factor


def test_a_smooth_picture_comes_back_where_it_was(model):
    """The tiny model enlarges without moving, so that shrinking and enlarging again keep every place."""
    rows, columns = np.mgrid[:61, :83] / 83
    image = (np.stack([rows, columns, 1 - rows], axis=-1) * 200 + 20).astype(np.uint8)
    inside = np.s_[8:-8, 8:-8]
    assert np.abs(model.restore(image, same_size=True).astype(int) - image)[inside].max() <= 8
    plain, shrunk_first = model.restore(image), model.restore(image, shrink=2)
    assert np.abs(shrunk_first.astype(int) - plain)[inside].max() <= 10


def test_shrinking_averages_noise():
    noise = np.random.default_rng(0).normal(0.5, 0.1, (128, 128, 3)).astype(np.float32)
    assert shrunk(noise, 2).std() < 0.65 * noise.std() and shrunk(noise, 2).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shrink": 0}, "from 1 to 8, got 0"),
        ({"shrink": 1.5}, "got 1.5"),
        ({"shrink": "much"}, "'auto' or a whole number"),
        ({"shrink": 3, "same_size": True}, "leave shrink out"),
    ],
)
def test_other_options_are_refused(model, options, message):
    with pytest.raises(DataError, match=message):
        model.restore(np.zeros((20, 20, 3)), **options)
