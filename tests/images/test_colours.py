"""What a viewer shows is what the file meant, whatever tells the colours and whatever format is written."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from blindsr_jax.errors import DataError
from blindsr_jax.images.colour_profiles import SRGB_PRIMARIES, Colours, profile_of
from blindsr_jax.images.colour_tags import exif_colours
from blindsr_jax.images.conversions import unmultiplied
from blindsr_jax.images.libvips import libvips
from blindsr_jax.images.opening import open_image
from blindsr_jax.images.reading import read_image
from blindsr_jax.images.writing import write_image
from tests.images.colour_kinds import FORMATS, GREY, RGB, TAGS, avif, exif, flat, png, seen_cmyk
from tests.images.picture_bytes import saved

_PRECISE = {"png": 1.5, "tiff": 1.5, "bmp": 1.5, "jpg": 4, "webp": 4, "avif": 4}


def _shown(path):
    """RGB of sRGB that a viewer with colour management shows, by Pillow and LittleCMS."""
    with Image.open(path) as image:
        image.load()
        profile = image.info.get("icc_profile")
        if profile:
            known = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            image = ImageCms.profileToProfile(image, *known, ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB")
        return np.asarray(image.convert("RGB")).mean((0, 1)), bool(profile)


@pytest.mark.parametrize("tag", TAGS, ids=lambda tag: tag.what)
def test_colours_last_in_every_format(tag, tmp_path):
    (tmp_path / "in").write_bytes(tag.make())
    if tag.message:
        with pytest.raises(DataError) as error:
            read_image(tmp_path / "in")
        assert tag.message in str(error.value)
        return
    image = read_image(tmp_path / "in")
    for form in FORMATS:
        write_image(tmp_path / f"out.{form}", image)
        shown, profile = _shown(tmp_path / f"out.{form}")
        wanted = seen_cmyk() if tag.seen == ("cmyk",) else tag.seen
        np.testing.assert_allclose(shown, wanted, atol=_PRECISE[form], err_msg=form)
        assert profile == tag.fate.get(form, tag.fate[""]).startswith("kept"), form


def test_pixels_are_kept_where_a_profile_is():
    for make in (avif(12, 13), png((b"gAMA", struct.pack(">I", 100_000)))):
        assert np.abs(open_image(make()).decode().astype(int) - RGB).max() <= 2


def test_cicp_goes_before_a_profile():
    chunk = (b"cICP", bytes([1, 13, 0, 1]))
    with_both = png(chunk)()
    profile = profile_of(Colours(gamma=1.0), grey=False)
    data = saved(flat(), "PNG", icc_profile=profile)
    assert open_image(data).fields["icc-profile-data"] == profile
    start = with_both.index(b"cICP") - 4
    assert "icc-profile-data" not in open_image(data[:33] + with_both[start : start + 16] + data[33:]).fields


@pytest.mark.parametrize("chunk", [(b"gAMA", bytes(4)), (b"cHRM", bytes(32)), (b"cHRM", b"\xff" * 32), (b"gAMA", b"")])
def test_chunks_that_cannot_be_are_left_out(chunk):
    with_chunk = png(chunk)()
    assert "icc-profile-data" not in open_image(with_chunk).fields


def test_primaries_on_a_line_make_no_profile():
    line = (*SRGB_PRIMARIES[:2], 0.2, 0.2, 0.3, 0.3, 0.4, 0.4)
    with pytest.raises(ValueError, match="one line"):
        profile_of(Colours(line), grey=False)
    chunk = (b"cHRM", struct.pack(">8I", *(round(1e5 * x) for x in line)))
    assert "icc-profile-data" not in open_image(png(chunk)()).fields


def test_the_colour_space_of_some_cameras():
    fields = {"exif-ifd2-ColorSpace": "2 (2, Short, 1 components, 2 bytes)"}
    assert exif_colours(fields).gamma == 563 / 256
    assert exif_colours({"exif-ifd2-ColorSpace": "1 (sRGB, Short, 1 components, 2 bytes)"}) is None
    data = saved(flat(), "JPEG", exif=exif({0x10F: b"Camera\0"}, {0xA001: (2,)}, {1: b"R98\0"}))
    assert b"acsp" in open_image(data).fields["icc-profile-data"]


def test_grey_pictures_get_a_profile_of_grey():
    found = open_image(png((b"gAMA", struct.pack(">I", 100_000)), mode="L")()).fields["icc-profile-data"]
    assert found[16:20] == b"GRAY"
    assert open_image(png(mode="L")()).decode()[0, 0, 0] == GREY


def test_colours_of_avif_are_divided_by_alpha():
    picture = Image.new("RGBA", (32, 32), (200, 100, 50, 128))
    for premultiplied in (True, False):
        data = saved(picture, "AVIF", quality=100, alpha_premultiplied=premultiplied, subsampling="4:4:4")
        pixels = open_image(data).decode().astype(int)
        assert np.abs(pixels - (200, 100, 50, 128)).max() <= 3, premultiplied


@pytest.mark.parametrize(("dtype", "depth"), [(np.uint8, 16), (np.uint16, 10), (np.uint16, 12)])
def test_division_by_alpha(dtype, depth):
    largest = 255 if dtype == np.uint8 else 2**16 - 2 ** (16 - depth)
    pixels = np.array([[[largest // 2, largest // 4, 0, largest // 2], [0, 0, 0, 0], [9, 0, largest, largest]]], dtype)
    kind = "srgb" if dtype == np.uint8 else "rgb16"
    image = unmultiplied(libvips().Image.new_from_array(pixels, interpretation=kind), depth)
    wanted = [[largest, largest // 2, 0, largest // 2], [0, 0, 0, 0], [9, 0, largest, largest]]
    assert np.abs(image.numpy()[0].astype(int) - wanted).max() <= 1
