"""The picture that compares before and after."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from blindsr_jax.cli import comparison
from blindsr_jax.cli.comparison import comparison_path, write_comparison
from blindsr_jax.errors import DataError
from blindsr_jax.images.metadata import Metadata
from blindsr_jax.images.reading import ImageFile
from blindsr_jax.images.writing import write_image

_RED, _GREEN = (220, 30, 30), (30, 200, 40)


def _compared(folder, before, after, suffix=".png", scale=2):
    path = folder / f"x{suffix}"
    write_image(path, ImageFile(after))
    write_comparison(path, before if isinstance(before, ImageFile) else ImageFile(before), scale)
    assert {p.name for p in folder.iterdir()} == {path.name, f"{path.name}.compare.jpg"}
    with Image.open(comparison_path(path)) as image:
        return np.asarray(image)


def _share(pixels, colour):
    return (np.abs(pixels.astype(int) - colour).max(-1) < 30).mean()


def test_small_pictures_stand_side_by_side_whole(tmp_path):
    before, after = np.full((40, 60, 3), _RED, np.uint8), np.full((80, 120, 3), _GREEN, np.uint8)
    picture = _compared(tmp_path, before, after)
    assert 240 < picture.shape[1] < 280 and 80 < picture.shape[0] < 130
    left, right = np.split(picture[:, : picture.shape[1] // 2 * 2], 2, axis=1)
    assert _share(left, _RED) > 0.6 and _share(left, _GREEN) == 0
    assert _share(right, _GREEN) > 0.6 and _share(right, _RED) == 0


@pytest.mark.parametrize(("size", "suffix"), [((1000, 700), ".png"), ((300, 1300), ".jpg"), ((450, 420), ".webp")])
def test_large_pictures_are_scaled_and_show_a_detail(tmp_path, monkeypatch, size, suffix):
    """Memory never holds more of the pictures than is shown."""
    held = []
    pixels_of = comparison.pixels_of
    monkeypatch.setattr(
        comparison, "pixels_of", lambda image: held.append(image.width * image.height) or pixels_of(image)
    )
    before = np.full((*size, 3), _RED, np.uint8)
    place = slice(size[0] - 150, size[0] - 30), slice(size[1] - 150, size[1] - 30)
    before[place] = np.random.default_rng(0).integers(0, 256, (120, 120, 1))
    after = before.repeat(2, 0).repeat(2, 1)
    after[_share_mask(after)] = _GREEN
    picture = _compared(tmp_path, before, after, suffix)
    assert picture.shape[1] <= 1600
    assert len(held) == 4 and max(held) <= 790**2
    detail = picture[-700:, picture.shape[1] // 2 :]
    assert _share(detail, _GREEN) > 0.3, "the restored picture's detail"
    sharp = after[2 * place[0].start : 2 * place[0].stop, 2 * place[1].start : 2 * place[1].stop].astype(int)
    assert _found(picture, sharp), "at 100 %, pixel for pixel"


def _share_mask(pixels):
    return (pixels == _RED).all(-1)


def _found(picture, part):
    """Whether a part occurs in the picture, up to JPEG's errors, by correlation of brightness."""
    grey, wanted = picture.mean(-1), part.mean(-1)
    size = [int(2 ** np.ceil(np.log2(side))) for side in grey.shape]
    wanted = wanted - wanted.mean()
    product = np.fft.irfft2(np.fft.rfft2(grey, size) * np.conj(np.fft.rfft2(wanted, size)), size)
    y, x = np.unravel_index(product.argmax(), product.shape)
    got = grey[y : y + part.shape[0], x : x + part.shape[1]]
    return got.shape == wanted.shape and np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparent_and_deep_pictures_lie_on_white(tmp_path, dtype):
    most = np.iinfo(dtype).max
    before = np.zeros((40, 60, 4), dtype)
    before[:, :30] = (most, 0, 0, most)
    picture = _compared(tmp_path, before, before.repeat(2, 0).repeat(2, 1))
    assert 0.25 < _share(picture, (255, 0, 0)) < 0.5
    assert 0.25 < _share(picture, (255, 255, 255)) < 0.5


def test_grey_pictures_and_profiles(tmp_path):
    grey = np.full((40, 60), 128, np.uint8)
    assert _share(_compared(tmp_path, grey, grey.repeat(2, 0).repeat(2, 1)), (128, 128, 128)) > 0.6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    colour = ImageFile(np.full((40, 60, 3), _RED, np.uint8), Metadata(profile))
    _compared(tmp_path, colour, colour.pixels.repeat(2, 0).repeat(2, 1))
    with Image.open(comparison_path(tmp_path / "x.png")) as image:
        assert image.info["icc_profile"] == profile


def test_what_cannot_be_read_back_is_named(tmp_path):
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"x\.png"):
        write_comparison(tmp_path / "x.png", ImageFile(np.zeros((4, 4, 3), np.uint8)), 2)
    assert len(list(tmp_path.iterdir())) == 1
