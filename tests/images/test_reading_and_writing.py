import os
import resource
import signal

import numpy as np
import pytest
from PIL import Image, ImageCms

from blindsr_jax.errors import DataError
from blindsr_jax.images.metadata import Metadata
from blindsr_jax.images.reading import ImageFile, read_image
from blindsr_jax.images.writing import write_image
from blindsr_jax.pictures import kernel_picture, panel


def _pixels(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_lossless_formats_return_what_was_written(tmp_path, suffix, channels):
    pixels = _pixels(6, 7, *channels)
    write_image(tmp_path / f"x{suffix}", ImageFile(pixels))
    np.testing.assert_array_equal(read_image(tmp_path / f"x{suffix}").pixels, pixels)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".webp"])
def test_lossy_formats_come_close(tmp_path, suffix):
    pixels = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    write_image(tmp_path / f"x{suffix}", ImageFile(pixels))
    assert np.abs(read_image(tmp_path / f"x{suffix}").pixels.astype(int) - pixels).max() <= 3


@pytest.mark.parametrize("shape", [(6, 7, 2), (6, 7, 4)])
def test_alpha_survives_or_lies_on_white(tmp_path, shape):
    pixels = _pixels(*shape)
    pixels[..., -1] = 0
    write_image(tmp_path / "x.png", ImageFile(pixels))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png").pixels, pixels)
    write_image(tmp_path / "x.jpg", ImageFile(pixels))
    assert read_image(tmp_path / "x.jpg").pixels.min() >= 250


def test_sixteen_bit_grey_survives_and_is_reduced_where_it_must(tmp_path):
    pixels = _pixels(6, 7, dtype=np.uint16)
    write_image(tmp_path / "x.png", ImageFile(pixels))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png").pixels, pixels)
    write_image(tmp_path / "x.bmp", ImageFile(pixels))
    np.testing.assert_array_equal(read_image(tmp_path / "x.bmp").pixels, np.round(pixels / 257))


def test_colour_profile_is_carried_over(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    write_image(tmp_path / "x.png", ImageFile(_pixels(4, 4, 3), Metadata(profile)))
    assert read_image(tmp_path / "x.png").metadata.icc_profile == profile


def test_palettes_and_bilevel_images_open_up(tmp_path):
    Image.fromarray(_pixels(6, 7, 3)).convert("P").save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").pixels.shape == (6, 7, 3)
    Image.fromarray(_pixels(6, 7)).convert("1").save(tmp_path / "b.png")
    assert read_image(tmp_path / "b.png").pixels.shape == (6, 7)


def test_what_a_format_cannot_hold_is_named(tmp_path):
    with pytest.raises(DataError, match="choose another format"):
        write_image(tmp_path / "x.webp", ImageFile(np.zeros((4, 16500, 3), np.uint8)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("pixels", "message"), [(np.float32(0.5), "floating point"), (np.int32(70000), "of 32 bits")])
def test_deeper_images_are_refused(tmp_path, pixels, message):
    Image.fromarray(np.full((4, 4), pixels)).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match=message):
        read_image(tmp_path / "x.tif")


def test_unknown_formats_and_failed_writes_leave_nothing(tmp_path):
    with pytest.raises(DataError, match="format must be one of"):
        write_image(tmp_path / "x.xyz", ImageFile(_pixels(4, 4, 3)))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        write_image(tmp_path / "file" / "x.png", ImageFile(_pixels(4, 4, 3)))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_kernel_picture_shows_each_weight():
    kernel = np.zeros((3, 3))
    kernel[0, 1], kernel[2, 2] = 0.8, 0.2
    picture = np.asarray(kernel_picture(kernel, side=30))
    assert picture.shape == (30, 30)
    assert picture[5, 15] == 255
    assert picture[25, 25] == 64
    assert picture[15, 5] == 0


def test_panel_places_every_picture():
    red = np.full((64, 96, 3), (255, 0, 0), np.uint8)
    lr = np.full((16, 24, 3), (0, 0, 255), np.uint8)
    kernel = np.eye(5) / 5
    images = [(caption, red) for caption in ("bicubic", "step 1", "step 2", "truth")]
    picture = panel(lr, images, [("true", kernel)])
    colours = np.asarray(picture).reshape(-1, 3)
    assert (colours == (255, 0, 0)).all(axis=1).sum() == 4 * 64 * 96
    assert (colours == (0, 0, 255)).all(axis=1).sum() == 64 * 96
    assert (colours == (255, 255, 255)).all(axis=1).sum() >= 5 * 12 * 12


@pytest.mark.parametrize("suffix", [b".png", b".jpg", b".webp", b".tif", b".avif", b".bmp"])
def test_names_that_are_not_utf8(tmp_path, suffix):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/r\xe9sum\xe9")
    path = os.path.join(folder, os.fsdecode(b"caf\xe9" + suffix))
    write_image(path, ImageFile(np.full((16, 16, 3), (200, 100, 50), np.uint8)))
    assert os.listdir(os.fsencode(folder)) == [b"caf\xe9" + suffix]
    assert np.abs(read_image(path).pixels.astype(int) - (200, 100, 50)).max() <= 6


def test_a_failure_of_the_thread_reaches_the_caller(tmp_path, capfd):
    class Broken(Metadata):
        def added_to(self, image, form):
            raise RuntimeError("of the thread")

    with pytest.raises(RuntimeError, match="of the thread"):
        write_image(tmp_path / "x.png", ImageFile(_pixels(300, 300, 3), Broken()))
    assert not list(tmp_path.iterdir())
    assert "Traceback" not in capfd.readouterr().err


@pytest.fixture
def little_room():
    """Files of this process end at 20,000 bytes; signals of that are ignored."""
    limits, before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif", ".bmp"])
def test_a_full_disk_is_named(tmp_path, little_room, suffix):
    """The limit stands for a full disk, where the system's words are others."""
    with pytest.raises(DataError, match=r"x\..*: cannot be written \(File too large\)"):
        write_image(tmp_path / f"x{suffix}", ImageFile(_pixels(300, 300, 3)))
    assert not list(tmp_path.iterdir())
