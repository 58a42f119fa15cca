import numpy as np
import pytest
import scipy.ndimage

from blindsr_jax import metrics
from blindsr_jax.errors import InputError


def _grey(y):
    return np.repeat(np.clip(np.round(y), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _half_flat(rng, noise):
    """The upper half is flat but for grain, the lower half is full of edges."""
    y = np.full((256, 256), 120.0)
    y[128:] = 255 * (np.indices((128, 256)).sum(0) // 4 % 2)
    return y + noise * rng.normal(size=y.shape)


@pytest.mark.parametrize("noise", [2.0, 6.0])
def test_the_flat_residual_is_the_grain_in_the_flat_part(noise):
    rng = np.random.default_rng(0)
    image = _grey(_half_flat(rng, noise))
    # Of white noise the Gaussian leaves almost nothing; luma of grey is 219/255 of a level.
    assert metrics.flat_residual(image, image) == pytest.approx(noise * 219 / 255, rel=0.1)


def test_the_reference_says_where_a_picture_is_flat():
    rng = np.random.default_rng(1)
    reference = _half_flat(rng, 1.0)
    elsewhere = _grey(reference[::-1])
    assert metrics.flat_residual(_grey(reference), _grey(reference)) < 2
    assert metrics.flat_residual(elsewhere, _grey(reference)) > 20


def test_smoothing_lowers_the_flat_residual():
    y = _half_flat(np.random.default_rng(2), 5.0)
    smooth = scipy.ndimage.gaussian_filter(y, 1.0)
    assert metrics.flat_residual(_grey(smooth), _grey(y)) < 0.5 * metrics.flat_residual(_grey(y), _grey(y))


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_block_edges_see_the_grid_of_jpeg_and_no_other(scale):
    rng = np.random.default_rng(3)
    steps = rng.normal(0, 20, (2, 8, 8)) + 128

    def picture(offset):
        """Blocks of 8x8 LR pixels of their own grey, shifted; a little noise everywhere."""
        lr = np.kron(steps[0], np.ones((8, 8)))[:48, :48]
        lr = np.roll(lr, offset, (0, 1)) + rng.normal(size=(48, 48))
        return _grey(np.kron(lr, np.ones((scale, scale))))

    assert metrics.block_edges(picture(0), scale) > 20
    assert metrics.block_edges(picture(4), scale) < 0.2
    assert metrics.block_edges(_grey(128 + 9 * rng.normal(size=(400 * scale, 400))), scale) == pytest.approx(1, abs=0.1)


def test_a_picture_of_one_colour_has_neither_grain_nor_grid():
    image = np.full((64, 64, 3), 90, np.uint8)
    assert metrics.flat_residual(image, image) == pytest.approx(0, abs=1e-9)
    assert metrics.block_edges(image, 2) == 1


def test_images_that_cannot_be_measured():
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(InputError, match="uint8"):
        metrics.flat_residual(image, image[:32])
    with pytest.raises(InputError, match="uint8"):
        metrics.block_edges(image / 255, 2)
    with pytest.raises(InputError, match="at least 16x16"):
        metrics.block_edges(image, 8)
