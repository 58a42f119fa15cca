"""Messages reach terminals: names that strangers chose must not steer them."""

import os

import numpy as np
import pytest
import safetensors.numpy

from blindsr_jax.cli import main
from blindsr_jax.errors import BlindSRError, InputError, WeightsError, printable
from blindsr_jax.images.reading import read_image
from blindsr_jax.weights.bundle import load_bundle, save_bundle
from tests.images.picture_bytes import plain
from tests.inference.conftest import tiny_bundle


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31m.png", r"a\x1b[31m.png"),
        ("\x9b2J\r\x7f\x00", r"\x9b2J\x0d\x7f\x00"),
        ("photo\u202egnp.exe", r"photo\u202egnp.exe"),
        (os.fsdecode(b"caf\xe9.png"), r"caf\xe9.png"),
        ("\ud83d", r"\ud83d"),
        ("Größe × 2, 写真.png\n\t", "Größe × 2, 写真.png\n\t"),
    ],
)
def test_text_for_terminals(text, shown):
    assert printable(text) == shown
    assert str(BlindSRError(text)) == shown
    assert str(InputError(text)) == shown


def test_names_of_files_and_arrays(tmp_path):
    name = "x\x1b]0;title\x07.png"
    (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(BlindSRError) as error:
        read_image(tmp_path / name)
    assert r"x\x1b]0;title\x07.png: not an image" in str(error.value)
    safetensors.numpy.save_file({"a\x1b[2J": np.zeros(3, np.float32)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as error:
        load_bundle(tmp_path / "w.safetensors")
    assert "\x1b" not in str(error.value)


def test_the_command_prints_no_escapes(tmp_path, capfd):
    name = "x\x1b[2J.safetensors"
    assert main(["restore", str(tmp_path), "-o", str(tmp_path / "out.png"), "--model", str(tmp_path / name)]) != 0
    assert "\x1b" not in capfd.readouterr().err


def test_lines_about_files_print_no_escapes(tmp_path, capfd):
    save_bundle(tmp_path / "tiny.safetensors", tiny_bundle())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x\x1b[31m.png").write_bytes(plain("RGB", "PNG")())
    (tmp_path / "in" / "y\x1b[31m.png").write_bytes(b"no picture")
    model = ("--model", str(tmp_path / "tiny.safetensors"))
    for source in ("in", "in", "in/x\x1b[31m.png", "in/y\x1b[31m.png"):
        main(["restore", str(tmp_path / source), "-o", str(tmp_path / "out"), *model])
    main(["restore", str(tmp_path / "in" / "x\x1b[31m.png"), "-o", str(tmp_path / "one"), *model])
    printed = capfd.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert r"y\x1b[31m.png: not an image" in printed.err
    assert r"x\x1b[31m.png: exists" in printed.err
