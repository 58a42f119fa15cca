"""Every kind of file through the command: the output is as expected, or an error and no output."""

import pathlib

import numpy as np
import pytest
import pyvips
from PIL import Image

from blindsr_jax.cli import main
from blindsr_jax.weights.bundle import save_bundle
from tests.images import input_kinds
from tests.images.input_kinds import KINDS, Refused, Written
from tests.images.picture_bytes import HEIGHT, WIDTH, scene
from tests.inference.conftest import tiny_bundle

ROOT = pathlib.Path(__file__).parents[2]
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
_FORMATS |= {".bmp": "BMP", ".avif": "AVIF"}
_BANDS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_bundle(path, tiny_bundle())
    return path


def _ids(kind):
    return " ".join((kind.what, *kind.options))


@pytest.mark.parametrize("kind", KINDS, ids=_ids)
def test_what_becomes_of_a_file(kind, tiny, tmp_path, capfd):
    (tmp_path / "in").mkdir()
    source = input_kinds.write(kind, tmp_path / "in")
    command = ["restore", str(source), "-o", str(tmp_path / "out"), "--model", str(tiny), *kind.options]
    code, message = main(command), capfd.readouterr().err
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    if isinstance(kind.outcome, Refused):
        assert (code, left) == (kind.outcome.code, [])
        assert kind.outcome.message in message
        assert source.name in message or kind.outcome.code == 2
        assert len(message.strip().splitlines()) == 1, "one line, without noise of libraries"
        return
    assert (code, message) == (0, "")
    assert [path.name for path in left] == [kind.outcome.name or kind.name]
    _check(left[0], kind.outcome)


def _check(path: pathlib.Path, expected: Written):
    """Check the metadata with Pillow. Check pixels with libvips, except for BMP, which libvips cannot read."""
    with Image.open(path) as image:
        assert image.size == (2 * WIDTH, 2 * HEIGHT)
        assert image.getexif().get(0x0112, 1) == 1, "no orientation is left"
        assert ("icc_profile" in image.info) == expected.profile
        if expected.metadata is not None:
            assert (image.getexif().get(0x010F) == "Camera") == expected.metadata
            xmp = image.info.get("xmp", image.info.get("XML:com.adobe.xmp", b""))
            xmp = xmp if isinstance(xmp, bytes) else xmp.encode()
            assert (b"A title" in xmp) == expected.metadata
            assert b"tiff:Orientation" not in xmp, "the output is upright"
        pixels = np.asarray(image.convert("RGBA")) if path.suffix == ".bmp" else None
        if path.suffix == ".bmp":
            assert image.mode == expected.mode
    assert b"JFIFthumb" not in path.read_bytes(), "the thumbnail would show the picture as it was"
    assert image.format == _FORMATS[path.suffix]
    if pixels is None:
        image = pyvips.Image.new_from_file(str(path))
        assert image.bands == _BANDS[expected.mode]
        assert image.format == ("uchar" if expected.bits == 8 else "ushort")
        if expected.bits != 8:
            assert image.get("bits-per-sample") == expected.bits
        deep = image.format == "ushort"
        pixels = np.float64(image.numpy().reshape(image.height, image.width, -1)) / (257 if deep else 1)
        pixels = (
            pixels if image.bands >= 3 else np.concatenate([pixels[..., :1].repeat(3, -1), pixels[..., 1:]], axis=-1)
        )
    if expected.scene:
        _check_scene(pixels, expected)


def _check_scene(pixels: np.ndarray, expected: Written):
    """The middle of each quarter has the expected colour and alpha."""
    wanted = scene({"grey": "L", "bilevel": "1"}.get(expected.scene, "RGB")).convert("RGB")
    wanted = np.array(wanted.resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.NEAREST))
    if expected.scene == "on white":
        wanted[HEIGHT:, WIDTH:] = 255
    transparent = expected.mode in ("LA", "RGBA")
    for row in (0, HEIGHT):
        for column in (0, WIDTH):
            middle = slice(row + 4, row + HEIGHT - 4), slice(column + 6, column + WIDTH - 6)
            hidden = transparent and row and column
            if not hidden:
                difference = np.abs(pixels[middle][..., :3].mean((0, 1)) - wanted[middle].mean((0, 1)))
                assert difference.max() < 20, f"the quarter at {row}, {column}"
            if transparent:
                assert abs(pixels[middle][..., 3].mean() - (0 if hidden else expected.alpha)) < 8


def test_the_kinds_are_many_and_told_apart():
    assert len(KINDS) >= 40
    assert len({(kind.what, kind.options) for kind in KINDS}) == len(KINDS)


def test_the_document_is_this_list():
    """If this fails, run: python -m tests.images.input_kinds > docs/files.md"""
    assert (ROOT / "docs" / "files.md").read_text() == input_kinds.page()
