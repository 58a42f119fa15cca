import io
import os
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from blindsr_jax.errors import DataError
from blindsr_jax.images.folders import list_images
from blindsr_jax.images.opening import open_image
from blindsr_jax.images.reading import decode_rgb, image_size, read_rgb, to_eight_bits
from tests.images.picture_bytes import claiming, deep, plain, turned

ROOT = Path(__file__).parents[2]


def _saved(pixels, form, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(96, 128), (95, 127), (17, 8), (1, 1)])
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("WEBP", {"lossless": True}),
        ("JPEG", {"quality": 90}),
        ("JPEG", {"quality": 60, "progressive": True}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 80, "subsampling": 1}),
    ],
    ids=lambda x: x if isinstance(x, str) else " ".join(f"{k} {v}" for k, v in x.items()),
)
@pytest.mark.parametrize("grey", [False, True])
def test_pixels_are_those_that_pillow_decodes(photo, size, form, options, grey):
    """Scores must not depend on the library that decodes."""
    pixels = photo[: size[0], : size[1]]
    data = _saved(pixels.mean(-1).astype(np.uint8) if grey else pixels, form, **options)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(decode_rgb(data), np.asarray(image.convert("RGB")))


def test_deep_images_are_rounded_to_eight_bits():
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    np.testing.assert_array_equal(to_eight_bits(levels), np.round(levels / 257).astype(np.uint8))
    image = pyvips.Image.new_from_array(np.repeat(levels, 3, 2), interpretation="rgb16")
    np.testing.assert_array_equal(decode_rgb(image.pngsave_buffer()), np.round(np.repeat(levels, 3, 2) / 257))


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_of_ten_and_twelve_bits_reaches_from_black_to_white(bits):
    levels = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64, 1).repeat(3, 2)
    image = pyvips.Image.new_from_array(levels, interpretation="rgb16")
    read = open_image(image.heifsave_buffer(compression="av1", bitdepth=bits, lossless=True)).decode()
    assert (read.min(), read.max(), read.dtype) == (0, 65535, np.uint16)
    assert np.abs(read.astype(int) - levels).max() <= 65535 / (2**bits - 1) + 1


def test_cmyk_goes_through_the_profile_in_the_file():
    """The pixels agree with LittleCMS. Pillow's plain conversion ignores the profile and differs."""
    profile = bytes(pyvips.Operation.call("profile_load", "cmyk"))
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 4), np.uint8)
    picture, buffer = Image.fromarray(pixels, "CMYK"), io.BytesIO()
    picture.save(buffer, "TIFF", icc_profile=profile)
    known = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    relative = ImageCms.Intent.RELATIVE_COLORIMETRIC
    wanted = np.asarray(ImageCms.profileToProfile(picture, *known, relative, outputMode="RGB"))
    assert np.abs(decode_rgb(buffer.getvalue()).astype(int) - wanted).max() <= 4
    assert np.abs(wanted.astype(int) - np.asarray(picture.convert("RGB"))).max() > 20


def test_many_threads_read_at_once(photo):
    files = [_saved(np.roll(photo, i, 1), form) for i in range(8) for form in ("PNG", "JPEG", "BMP", "WEBP")]
    wanted = [decode_rgb(data) for data in files]
    with ThreadPoolExecutor(8) as pool:
        for got, want in zip(pool.map(decode_rgb, files * 8), wanted * 8):
            np.testing.assert_array_equal(got, want)


def test_bytes_live_as_long_as_the_image_that_is_read_from_them(photo):
    """libvips reads the bytes only in decode(), when the caller may no longer hold them."""
    for form in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "BMP"):
        wanted = decode_rgb(_saved(photo, form))
        opened = [open_image(_saved(photo, form)) for _ in range(10)]
        garbage = [bytes([i]) * len(_saved(photo, form)) for i in range(20)]
        for image in opened:
            np.testing.assert_array_equal(image.decode(), wanted, err_msg=f"{form} {len(garbage)}")


def test_names_of_any_bytes(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/photo[page=1] \xff\xfe.png")
    with open(path, "wb") as file:
        file.write(plain("RGB", "PNG")())
    assert image_size(path) == read_rgb(path).shape[:2] == (16, 24)


def test_messages_of_libvips_may_quote_any_bytes():
    """pyvips would raise UnicodeDecodeError, here and for each later error."""
    data = plain("RGB", "AVIF")()
    entry = data.index(b"ipma") + 15
    assert data[entry : entry + 3] == b"\1\2\x83"
    damaged = (data[:entry] + b"\1\x82\x83" + data[entry + 3 :]).replace(b"pixi", b"\xffixi")
    with pytest.raises(DataError, match=r"may be damaged .*could not parse"):
        open_image(damaged).decode()


def test_libraries_below_libvips_write_nothing_on_stderr(capfd):
    data = plain("RGB", "AVIF")()
    size = b"ispe" + struct.pack(">3I", 0, 24, 16)
    assert size in data
    with pytest.raises(DataError, match="may be damaged"):
        open_image(data.replace(size, b"ispe" + struct.pack(">3I", 0, 2**31 - 16, 16)), max_pixels=0).decode()
    assert capfd.readouterr().err == ""


def test_sizes_need_the_header_alone(tmp_path):
    for orientation, size in ((1, (16, 24)), (6, (16, 24))):
        data = turned(orientation)() if orientation != 1 else plain("RGB", "JPEG")()
        (tmp_path / "x.jpg").write_bytes(data[: data.index(b"\xff\xda") + 20])
        assert image_size(tmp_path / "x.jpg") == size
        with pytest.raises(DataError, match=r"x\.jpg: cannot be read"):
            read_rgb(tmp_path / "x.jpg")


def test_pages_and_limits_are_asked_of_the_header():
    with pytest.raises(DataError, match="bomb: 9487x9487, larger than 90,000,000 pixels"):
        open_image(claiming(9487, 9487)(), name="bomb")
    assert open_image(claiming(9486, 9486)()).size == (9486, 9486)
    assert open_image(claiming(20_000, 9_000)(), max_pixels=0).size == (9_000, 20_000)
    with pytest.raises(DataError, match="there is no page 2, it has 1"):
        open_image(plain("RGB", "PNG")(), page=2)


def _png(width, height, interlaced):
    """A PNG of 16-bit RGBA with the first pixels alone."""
    data = claiming(width, height)()
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, interlaced)
    return data[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[12 + len(chunk) + 4 :]


def _jpeg(progressive):
    """A whole JPEG of few pixels that claims to have many, of which a decoder makes a grey picture."""
    data = bytearray(plain("RGB", "JPEG", progressive=progressive)())
    place = data.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", 9000, 9000)
    return bytes(data)


def _tiff(compression, width):
    """A whole TIFF of few pixels that claims to have wide rows."""
    data = bytearray(plain("RGB", "TIFF", compression=compression)())
    place = _entry(data, 256)
    data[place + 2 : place + 12] = struct.pack("<HII", 4, 1, width)
    return bytes(data)


def _entry(data, tag):
    """Where the entry of a tag begins in the first directory of a little-endian TIFF."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = range(start + 2, start + 2 + 12 * count, 12)
    return next(at for at in entries if data[at : at + 2] == struct.pack("<H", tag))


@pytest.mark.parametrize(
    "data",
    [
        _png(9000, 9000, 0),
        _png(9000, 9000, 1),
        _png(5_000_000, 16, 0),
        _jpeg(False),
        _jpeg(True),
        _tiff(None, 5_000_000),
        _tiff("tiff_lzw", 5_000_000),
        _tiff("tiff_deflate", 5_000_000),
    ],
    ids=["PNG", "PNG, interlaced", "PNG, wide", "JPEG", "JPEG, progressive", "TIFF", "TIFF, LZW", "TIFF, deflate"],
)
def test_pixels_that_cannot_be_there_take_no_memory(data):
    image = open_image(data, name="x")
    start = time.process_time()
    with pytest.raises(DataError, match=r"x: cannot be read .*its pixels take [\d,]+ bytes or more, the file has"):
        image.decode()
    assert time.process_time() - start < 0.1, "before anything is decoded"


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("TIFF", {"compression": "packbits"}),
        ("JPEG", {"quality": 1}),
        ("JPEG", {"quality": 1, "progressive": True, "optimize": True, "subsampling": 2}),
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pictures_of_one_colour_are_read(form, options, mode):
    """No files are smaller for their pixels."""
    buffer = io.BytesIO()
    Image.new(mode, (3001, 2003), 9 if mode == "L" else (9, 9, 9)).save(buffer, form, **options)
    pixels = open_image(buffer.getvalue()).decode()
    assert pixels.shape[:2] == (2003, 3001) and np.ptp(pixels) == 0


def test_what_lies_beside_pictures_is_not_listed(tmp_path):
    for name in ("a.png", "a.png.kernel.png", "a.png.compare.jpg", "b.avif", "c.gif"):
        (tmp_path / name).write_bytes(deep("L", "png")())
    assert [path.name for path in list_images(tmp_path)] == ["a.png", "b.avif", "c.gif"]


_TOGETHER = """
import sys
for name in sys.argv[1].split(","):
    __import__(name)
import io, numpy as np, tensorflow as tf
from PIL import Image
from blindsr_jax.images.reading import decode_rgb
pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
files = {}
for form in ("PNG", "JPEG", "WEBP"):
    Image.fromarray(pixels).save(buffer := io.BytesIO(), form)
    files[form] = buffer.getvalue()
def read(i):
    return decode_rgb(list(files.values())[i % 3])
data = tf.data.Dataset.range(60).map(lambda i: tf.numpy_function(read, [i], tf.uint8), num_parallel_calls=8)
for i, got in enumerate(data.as_numpy_iterator()):
    assert (got == read(i)).all()
assert (tf.io.decode_png(files["PNG"]).numpy() == read(0)).all() and (read(0) == pixels).all()
print("well")
"""


@pytest.mark.slow
@pytest.mark.parametrize("order", ["tensorflow,pyvips", "pyvips,tensorflow"])
def test_tensorflow_and_libvips_live_together(order):
    """Both work in one process, in either order of import, and in the threads of tf.data."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", _TOGETHER, order]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "well"
