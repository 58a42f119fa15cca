"""What ``restore`` takes for an image, and what it refuses by name."""

import numpy as np
import pytest
from PIL import Image

from blindsr_jax.errors import DataError
from blindsr_jax.inference.arrays import as_array
from blindsr_jax.inference.pixels import Pixels
from tests.images.picture_bytes import scene

RGB = np.asarray(scene())


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "F"])
def test_pillow_images_that_are_as_arrays(mode):
    np.testing.assert_array_equal(as_array(scene(mode)), np.asarray(scene(mode)))


def test_palettes_are_looked_up():
    np.testing.assert_array_equal(as_array(scene().quantize(4)), RGB)
    assert as_array(scene().quantize(4)).shape == RGB.shape, "indices are no grey"
    transparent = scene("RGBA").quantize(5)
    assert as_array(transparent).shape[2] == 4
    np.testing.assert_array_equal(as_array(transparent)[..., 3], np.asarray(scene("RGBA"))[..., 3])
    np.testing.assert_array_equal(as_array(scene("RGBA").convert("PA"))[..., 3], np.asarray(scene("RGBA"))[..., 3])


def test_one_bit_and_sixteen():
    assert set(np.unique(as_array(scene("1")))) == {0, 255}
    levels = np.array([[0, 300], [40_000, 65_535]], np.uint16)
    for image in (Image.fromarray(levels), Image.frombytes("I;16B", (2, 2), levels.astype(">u2").tobytes())):
        assert as_array(image).dtype == np.uint16
        np.testing.assert_array_equal(as_array(image), levels)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "HSV", "RGBX", "RGBa", "La", "I"])
def test_other_modes_are_refused_by_name(mode):
    with pytest.raises(DataError, match=f"mode {mode} is not restored"):
        Pixels(Image.new(mode, (8, 8)))


def test_restore_takes_a_pillow_image(model):
    palette = scene().quantize(4)
    np.testing.assert_array_equal(model.restore(palette), model.restore(RGB))
    np.testing.assert_array_equal(model.restore(palette, shrink="auto"), model.restore(RGB, shrink="auto"))
    with pytest.raises(DataError, match="mode CMYK"):
        model.restore(scene("CMYK"))


@pytest.mark.parametrize(
    ("low", "high"), [(-1, 1), (0, 2), (0, 255), (-0.5, 0.5), (0, 1.11), (-0.11, 1)], ids=lambda x: str(x)
)
def test_floating_point_out_of_range_is_refused(model, low, high):
    image = np.linspace(low, high, 12 * 10, dtype=np.float32).reshape(10, 12)
    with pytest.raises(DataError, match=rf"this one is in \[{low}, {high}\]"):
        model.restore(image)


def test_an_interpolation_may_overshoot(model):
    image = np.linspace(-0.09, 1.09, 12 * 10, dtype=np.float32).reshape(10, 12)
    restored = model.restore(image)
    assert restored.min() >= 0 and restored.max() <= 1


@pytest.mark.parametrize("dtype", [">u2", "<u2", ">f4"])
def test_any_byte_order(model, dtype):
    levels = 65535 if dtype.endswith("u2") else 1
    image = (np.random.default_rng(0).random((12, 14, 3)) * levels).astype(dtype)
    native = image.astype(image.dtype.newbyteorder("="))
    np.testing.assert_array_equal(model.restore(image), model.restore(native))
    np.testing.assert_array_equal(model.restore(image, shrink=2), model.restore(native, shrink=2))
