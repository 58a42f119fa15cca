"""``blindsr restore``: formats, quality, depth, comparisons and other files beside a picture."""

import numpy as np
import pytest
import pyvips
from PIL import Image

from blindsr_jax.cli import comparison, main
from blindsr_jax.errors import DataError
from tests.cli.commands import restore, size


def _files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_folder_in_one_format(place):
    (place / "in" / "deep" / "e.JPEG").write_bytes((place / "in" / "b.jpg").read_bytes())
    assert restore(place, place / "in", "-o", place / "out", "--format", "jpg", "--quality", 60) == 0
    assert _files(place / "out") == ["a.jpg", "b.jpg", "c.jpg", "deep/d.jpg", "deep/e.JPEG"]
    for name in _files(place / "out"):
        with Image.open(place / "out" / name) as image:
            assert (image.format, image.size) == ("JPEG", (36, 28))


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
def test_quality_costs_bytes(place, suffix):
    lengths = []
    for quality in ([], ["--quality", "30"], ["--quality", "100"]):
        target = place / f"out{len(lengths)}.{suffix}"
        assert restore(place, place / "in" / "a.png", "-o", target, *quality) == 0
        lengths.append(target.stat().st_size)
    assert lengths[1] < lengths[0] < lengths[2]


def test_sixteen_bits_hold_more_than_eight(place):
    arguments = [place / "in" / "a.png", "-o", place / "out.png", "--overwrite"]
    pixels = []
    for depth in (8, 16):
        assert restore(place, *arguments, "--depth", depth) == 0
        pixels.append(pyvips.Image.new_from_file(str(place / "out.png")).numpy())
    assert [x.dtype for x in pixels] == [np.uint8, np.uint16]
    np.testing.assert_array_equal(pixels[0], np.round(pixels[1] / 257))
    assert (pixels[1] % 257 != 0).mean() > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in/a.png", "-o", "x.webp", "--format", "png"], "its name says another format than --format png"),
        (["in", "-o", "out", "--format", "tiff", "--quality", "50"], "--quality: tiff loses nothing"),
        (["in", "-o", "out", "--depth", "16"], "b.jpg would hold 8 bits"),
        (["a.txt", "-o", "x.txt"], "an image file's name must end in one of"),
        (["in", "-o", "x.png"], "x.png is one file, but in is a folder: give a folder after -o"),
        (["in/a.png", "-o", "x.gif"], "must end in one of"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_is_written(place, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(place)
    (place / "a.txt").write_text("no image")
    before = _files(place)
    assert main(["restore", "--model", "tiny.safetensors", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert _files(place) == before


@pytest.mark.parametrize("option", [["--quality", "0"], ["--quality", "101"], ["--depth", "12"], ["--page", "0"]])
def test_numbers_out_of_range_are_usage_errors(place, capsys, option):
    with pytest.raises(SystemExit) as stop:
        restore(place, place / "in" / "a.png", "-o", place / "x.png", *option)
    assert stop.value.code == 2
    assert option[0] in capsys.readouterr().err


def test_the_limit_of_pixels_can_be_moved_and_lifted(place, capsys):
    arguments = [place / "in" / "a.png", "-o", place / "x.png"]
    assert restore(place, *arguments, "--max-pixels", 18 * 14 - 1) == 1
    assert "a.png: 18x14, larger than 251 pixels" in capsys.readouterr().err
    assert restore(place, *arguments, "--max-pixels", 18 * 14) == 0
    assert restore(place, *arguments, "--max-pixels", 0, "--overwrite") == 0


def test_comparisons_stand_beside_and_are_not_taken_for_photographs(place):
    assert restore(place, place / "in", "-o", place / "out", "--compare", "--save-kernel") == 0
    beside = ["", ".compare.jpg", ".kernel.npy", ".kernel.png"]
    assert _files(place / "out") == sorted(
        f"{name}{ending}" for name in ("a.png", "b.jpg", "c.webp", "deep/d.tiff") for ending in beside
    )
    assert size(place / "out" / "a.png.compare.jpg")[0] > 2 * 36
    assert restore(place, place / "out", "-o", place / "again") == 0
    assert _files(place / "again") == ["a.png", "b.jpg", "c.webp", "deep/d.tiff"]


def test_missing_companions_of_an_existing_output_are_said(place, capsys):
    arguments = [place / "in" / "a.png", "-o", place / "out.png"]
    assert restore(place, *arguments, "--save-kernel") == 0
    capsys.readouterr()
    assert restore(place, *arguments, "--save-kernel", "--compare") == 0
    said = capsys.readouterr().err
    assert "out.png: exists, skipped (--overwrite replaces it); out.png.compare.jpg: not there" in said
    assert "kernel" not in said
    assert not (place / "out.png.compare.jpg").exists()
    assert restore(place, *arguments, "--compare", "--overwrite") == 0
    assert restore(place, *arguments, "--save-kernel", "--compare") == 0
    assert "not there" not in capsys.readouterr().err


def test_an_output_whose_companion_fails_is_a_failure(place, capsys, monkeypatch):
    def failing(*arguments):
        raise DataError("no space")

    monkeypatch.setattr(comparison, "write_comparison", failing)
    assert restore(place, place / "in" / "a.png", "-o", place / "out" / "a.png", "--compare", "--save-kernel") == 1
    assert "a.png: no space" in capsys.readouterr().err
    assert _files(place / "out") == []


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_resolution_is_carried_over_and_turned(place, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 12)).save(place / "x.jpg", dpi=(300, 150), exif=exif)
    assert restore(place, place / "x.jpg", "-o", place / f"y.{suffix}") == 0
    with Image.open(place / f"y.{suffix}") as image:
        exif = image.getexif()
        found = (exif[0x011A], exif[0x011B]) if suffix == "jpg" else image.info["dpi"]
        assert image.size == (24, 40)
        np.testing.assert_allclose([float(x) for x in found], (150, 300), atol=0.1)
