"""Colours that transparency hides must not become visible by restoring."""

import numpy as np
import pytest

from blindsr_jax.images.transparency import with_visible_colours
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.ops.resize import imresize
from blindsr_jax.types import SROutput


def _cut_out(size=40, colour=255, garbage=0, dtype=np.uint8):
    """An opaque disc of one colour with a sharp edge, surrounded by transparent garbage."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    inside = x**2 + y**2 < (size / 3) ** 2
    image = np.full((size, size, 4), garbage, dtype)
    image[inside, :3] = colour
    image[..., 3] = np.where(inside, 255, 0)
    return image


class _Bicubic:
    """A model that mixes colours across edges, as all do."""

    scale, restores, whole_only = 2, True, ""

    def __call__(self, lr, *, kernel=None, iterations=None, image_only=False):
        return SROutput(sr=imresize(np.asarray(lr), 2))


def _on_white(image):
    alpha = image[..., 3:] / 255
    return alpha * image[..., :3] + (1 - alpha) * 255


def test_a_sharp_cut_out_gets_no_dark_fringe():
    image, model = _cut_out(), _Bicubic()
    assert _on_white(restore_image(model, image).image).min() > 254, "white on white"
    naive = Pixels(image, filled=True)
    fringe = naive.finish(np.asarray(model(naive.rgb()[None]).sr)[0], 2)
    assert _on_white(fringe).min() < 225, "what would be seen if black were drawn into the edge"


@pytest.mark.parametrize("tile", ["auto", 64])
def test_hidden_colours_change_nothing(model, tile):
    noise = np.random.default_rng(0).integers(0, 256, (90, 80, 3), np.uint8)
    image = np.concatenate([noise, _cut_out(90)[:, :80, 3:]], axis=-1)
    other, hidden = image.copy(), image[..., 3] == 0
    other[hidden, :3] = 255 - other[hidden, :3]
    results = [restore_image(model, x, tile=tile, self_ensemble=tile == "auto").image for x in (image, other)]
    np.testing.assert_array_equal(*results)
    grey = [restore_image(model, x[..., [0, 3]], tile=tile).image for x in (image, other)]
    np.testing.assert_array_equal(*grey)
    np.testing.assert_array_equal(image[..., :3], noise), "the caller's image is left as it is"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_colours_come_from_the_nearest_visible_pixel(dtype):
    rng = np.random.default_rng(1)
    image = (rng.integers(0, 256, (30, 25, 4)) / (255 if dtype == np.float32 else 1)).astype(dtype)
    image[..., 3] = rng.random((30, 25)) < 0.05
    filled = with_visible_colours(image)
    visible = np.argwhere(image[..., 3] > 0)
    for place in np.ndindex(30, 25):
        distances = np.square(visible - place).sum(1)
        nearest = {image[tuple(v)][:3].tobytes() for v in visible[distances == distances.min()]}
        assert filled[place][:3].tobytes() in nearest
    np.testing.assert_array_equal(filled[..., 3], image[..., 3])


def test_far_from_everything_visible_and_nothing_visible():
    image = np.zeros((1500, 20, 4), np.uint8)
    image[:10] = (100, 120, 140, 255)
    filled = with_visible_colours(image)
    np.testing.assert_array_equal(np.unique(filled[..., :3].reshape(-1, 3), axis=0), [[100, 120, 140]])
    for alpha in (0, 255):
        image[..., 3] = alpha
        assert with_visible_colours(image) is image
