"""``blindsr restore``: which files are read and written."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter

from blindsr_jax.cli import main
from blindsr_jax.cli.jobs import plan_outputs
from blindsr_jax.data.sources import open_source
from blindsr_jax.errors import DataError
from tests.cli.commands import restore, size

ROOT = pathlib.Path(__file__).parents[2]


def test_one_file(place):
    assert restore(place, place / "in" / "a.png", "-o", place / "out.png") == 0
    assert size(place / "out.png") == (36, 28)
    assert not list(place.glob("*kernel*"))


def test_folders_keep_their_tree_and_formats(place):
    assert restore(place, place / "in", "-o", place / "out") == 0
    written = sorted(path.relative_to(place / "out").as_posix() for path in (place / "out").rglob("*.*"))
    assert written == ["a.png", "b.jpg", "c.webp", "deep/d.tiff"]
    assert {size(path) for path in (place / "out").rglob("*.*")} == {(36, 28)}


def test_one_bad_file_never_stops_the_rest(place, capsys):
    (place / "in" / "bad.png").write_bytes(b"no image")
    assert restore(place, place / "in", "-o", place / "out") == 1
    output = capsys.readouterr()
    assert "bad.png" in output.err
    assert "4 of 5 written, 1 failed" in output.out
    assert not (place / "out" / "bad.png").exists()


def test_existing_outputs_are_kept_unless_told(place, capsys):
    (place / "out.png").write_text("precious")
    assert restore(place, place / "in" / "a.png", "-o", place / "out.png") == 0
    assert (place / "out.png").read_text() == "precious"
    assert "--overwrite" in capsys.readouterr().err
    assert restore(place, place / "in" / "a.png", "-o", place / "out.png", "--overwrite") == 0
    assert size(place / "out.png") == (36, 28)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in/absent.png", "-o", "out"], "no such file"),
        (["in", "-o", "out.png"], "in is a folder"),
        (["in/a.png", "in/b.jpg", "-o", "out.png"], "several inputs"),
        (["in", "-o", "in"], "replace an input"),
        (["in/a.png", "-o", "out", "--kernel", "absent.npy"], "no such file"),
        (["in/a.png", "-o", "out", "--kernel", "tiny.safetensors"], "not a .npy file with a kernel"),
        (["in/a.png", "-o", "out", "--kernel", "three.npy"], "holds 3"),
        (["in/a.png", "-o", "out.gif"], "must end in one of"),
        (["in/a.png", "-o", "out", "--model", "absent.safetensors"], "no such file"),
        (["in/a.png", "-o", "out", "--model", "dan-huge"], "expected"),
    ],
)
def test_wrong_usage_is_named(place, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(place)
    np.save("three.npy", np.ones((3, 5, 5)))
    assert main(["restore", "--model", "tiny.safetensors", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_two_inputs_for_one_output_are_refused(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / folder / "same.png")
    with pytest.raises(DataError, match="would both be written"):
        plan_outputs([tmp_path / "x" / "same.png", tmp_path / "y" / "same.png"], tmp_path / "out")


def test_a_large_picture_in_tiles(place, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (70, 100, 3), np.uint8)
    Image.fromarray(noise).save(place / "large.png")
    assert restore(place, place / "large.png", "-o", place / "whole.png", "--tile", "0") == 0
    assert restore(place, place / "large.png", "-o", place / "tiles.png", "--tile", "64", "--save-kernel") == 0
    whole, tiles = (np.int32(Image.open(place / f"{name}.png")) for name in ("whole", "tiles"))
    assert 0 < np.abs(whole - tiles).mean() < 2
    assert (place / "tiles.png.kernel.npy").is_file()
    with pytest.raises(SystemExit):
        restore(place, place / "large.png", "-o", place / "x.png", "--tile", "63")
    assert "at least 64" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--tile", "64"]], ids=str)
def test_a_second_command_need_not_compile(place, options):
    """In separate processes, as users run it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    environment |= {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(place / "cache"), "JAX_LOGGING_LEVEL": "DEBUG"}
    command = [sys.executable, "-m", "blindsr_jax.cli", "restore", place / "in" / "a.png", "-o", place / "o.png"]
    command += ["--model", place / "tiny.safetensors", "--overwrite", *options]

    def hits():
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, check=True)
        return result.stderr.count("Persistent compilation cache hit for 'jit_apply'")

    assert hits() == 0
    programs = place / "cache" / "blindsr_jax" / "programs"
    assert list(programs.glob("jit_apply*")) and programs.stat().st_mode & 0o777 == 0o700
    assert hits() == 1
    environment["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    assert hits() == 0


def test_restoring_loads_neither_tensorflow_nor_training(place):
    """The core install has none of these libraries."""
    code = (
        "import sys; from blindsr_jax.cli import main; "
        f"code = main(['restore', {str(place / 'in' / 'a.png')!r}, '-o', {str(place / 'o.png')!r}, "
        f"'--model', {str(place / 'tiny.safetensors')!r}]); "
        "print(code, [m for m in ('tensorflow', 'clu', 'torch', 'tensorboard') if m in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert result.stdout.splitlines()[-1] == "0 []"


def test_pictures_with_more_pixels_than_detail_are_shrunk(place, capsys):
    sharp = Image.fromarray(open_source("sample", split="validation").read(0)[:400, :400])
    soft = sharp.filter(ImageFilter.GaussianBlur(2.5))
    soft.save(place / "soft.jpg", quality=40)
    sharp.save(place / "sharp.png")
    for name in ("soft.jpg", "sharp.png"):
        assert restore(place, place / name, "-o", place / f"x2_{name}", "--shrink", "auto") == 0
        assert ("shrunk" in capsys.readouterr().out) == (name == "soft.jpg")
    assert size(place / "x2_soft.jpg") == (800, 800)
    assert restore(place, place / "soft.jpg", "-o", place / "same.png", "--same-size", "--compare") == 0
    assert size(place / "same.png") == (400, 400) and (place / "same.png.compare.jpg").exists()
    with pytest.raises(SystemExit):
        restore(place, place / "soft.jpg", "-o", place / "o.png", "--shrink", "9")
