"""``blindsr restore``: which files are read and written."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
from PIL import Image, ImageFilter

from blindsr_jax.cli import main
from blindsr_jax.cli.jobs import plan_outputs
from blindsr_jax.data.sources import open_source
from blindsr_jax.errors import DataError
from tests.cli.commands import restore, size
from tests.conftest import drilled

ROOT = pathlib.Path(__file__).parents[2]


def test_one_file(place):
    assert restore(place, place / "in" / "a.png", "-o", place / "out.png") == 0
    assert size(place / "out.png") == (36, 28)
    assert not list(place.glob("*kernel*"))


def all_shown_on(screen):
    """What a closed terminal still shows; it arrives in pieces and ends with an error."""
    said = b""
    with contextlib.suppress(OSError):
        while piece := os.read(screen, 2**16):
            said += piece
    os.close(screen)
    return said.decode()


def test_one_picture_has_a_line_of_progress_on_a_terminal(place, monkeypatch, capsys):
    screen, keyboard = os.openpty()
    termios.tcsetwinsize(screen, (24, 200))
    with open(keyboard, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        assert restore(place, place / "in" / "a.png", "-o", place / "out.png") == 0
    said = all_shown_on(screen)
    assert re.search(r"\ra\.png, 18x14 pixels, by \S*tiny\.safetensors: 00:\d\d", said)
    assert said.endswith("\r") and not said.split("\r")[-2].strip(), "it makes room for the closing line"
    assert "36x28 pixels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("side", "options", "asked"),
    [
        (2100, [], True),
        (2000, [], False),
        (2100, ["--tile", "256"], False),
        (2100, ["--shrink", "2"], False),
        (2100, ["--same-size"], False),
        (2100, ["--shrink", "auto"], True),
    ],
)
def test_cores_become_devices_for_large_pictures(place, monkeypatch, side, options, asked):
    """Before JAX is used, so before the model is opened, which is not there."""
    calls = []
    monkeypatch.setattr("blindsr_jax.cli.restore.use_cores", lambda: calls.append(1))
    Image.new("RGB", (side, side)).save(place / "large.png")
    assert main(["restore", str(place / "large.png"), "--model", str(place / "none.safetensors"), *options]) != 0
    assert len(calls) == asked


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
    ("arguments", "code", "message"),
    [
        (["in/absent.png", "-o", "out"], 1, "no such file"),
        (["in", "-o", "out.png"], 2, "in is a folder"),
        (["in/a.png", "in/b.jpg", "-o", "out.png"], 2, "several inputs"),
        (["in/a.png", "-o", "in/a.png"], 2, "replace an input"),
        (["in", "-o", "in"], 2, "replace an input"),
        (["in/a.png", "-o", "out", "--kernel", "absent.npy"], 1, "no such file"),
        (["in/a.png", "-o", "out", "--kernel", "tiny.safetensors"], 1, "not a .npy file"),
        (["in/a.png", "-o", "out", "--kernel", "three.npy"], 1, "holds 3"),
        (["in/a.png", "-o", "out.gif"], 2, "must end in one of"),
        (["in/a.png", "-o", "out", "--model", "absent.safetensors"], 1, "no such file"),
        (["in/a.png", "-o", "out", "--model", "dan-huge"], 1, "expected"),
    ],
)
def test_mistakes_are_named(place, capsys, monkeypatch, arguments, code, message):
    monkeypatch.chdir(place)
    np.save("three.npy", np.ones((3, 5, 5)))
    assert main(["restore", "--model", "tiny.safetensors", *arguments]) == code
    assert message in capsys.readouterr().err


def test_two_inputs_for_one_output_are_refused(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / folder / "same.png")
    with pytest.raises(DataError, match="would both be written"):
        plan_outputs([tmp_path / "x" / "same.png", tmp_path / "y" / "same.png"], tmp_path / "out")


def test_back_projection(place, capsys):
    np.save(place / "k.npy", np.full((3, 3), 1 / 9))
    options = ["--kernel", place / "k.npy", "--same-size"]
    for steps in (0, 2):
        assert restore(place, place / "in/a.png", "-o", place / f"{steps}.png", *options, "--back-project", steps) == 0
    assert not np.array_equal(*(np.asarray(Image.open(place / f"{steps}.png")) for steps in (0, 2)))
    with pytest.raises(SystemExit):
        restore(place, place / "in" / "a.png", "-o", place / "x.png", "--back-project", "-1")
    assert "--back-project: must be 0 or a whole number" in capsys.readouterr().err


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


@pytest.mark.parametrize("options", [[], drilled(["--tile", "64"])], ids=str)
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


def test_programs_that_a_killed_command_left_half_written_are_removed(tmp_path):
    """JAX writes the time of last use after the program."""
    programs = tmp_path / "blindsr_jax" / "programs"
    programs.mkdir(parents=True)
    for name in ("jit_a-cache", "jit_a-atime", "jit_b-cache"):
        (programs / name).touch()
    code = "from blindsr_jax.cli.program_cache import keep_compiled_programs; keep_compiled_programs()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert {path.name for path in programs.glob("jit_*")} == {"jit_a-cache", "jit_a-atime"}


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


def test_without_an_output_results_stand_beside_their_inputs(place, capsys):
    assert restore(place, place / "in" / "a.png") == 0
    assert size(place / "in" / "a_x2.png") == (36, 28)
    said = capsys.readouterr().out
    assert "a_x2.png: 36x28 pixels, by tiny.safetensors in" in said and "blur: σ =" in said
    (place / "in" / "a_x2.png").unlink()
    assert restore(place, place / "in", "--same-size") == 0
    assert size(place / "in_restored" / "deep" / "d.tiff") == (18, 14)


def test_the_folder_of_outputs_is_no_input(place):
    for _ in range(2):
        assert restore(place, place / "in", "-o", place / "in" / "out") == 0
    assert len(list((place / "in" / "out").rglob("*.*"))) == 4


def test_what_is_hidden_is_left_out_and_other_kinds_are_named(place, capsys):
    for name in ("._a.png", ".hidden/b.png", "@eaDir/c.png", "d.HEIC", "deep/e.jxl"):
        (place / "in" / name).parent.mkdir(exist_ok=True)
        (place / "in" / name).write_bytes(b"not read")
    assert restore(place, place / "in", "-o", place / "out") == 0
    output = capsys.readouterr()
    assert "4 of 4 written" in output.out
    assert "2 pictures of kinds that are not read here: .HEIC, .jxl" in output.err


def test_linked_folders_are_followed_once(place):
    (place / "in" / "link").symlink_to(place / "in" / "deep")
    (place / "in" / "deep" / "loop").symlink_to(place / "in")
    (place / "elsewhere").mkdir()
    shutil.copy(place / "in" / "a.png", place / "elsewhere" / "e.png")
    (place / "in" / "more").symlink_to(place / "elsewhere")
    assert restore(place, place / "in", "-o", place / "out") == 0
    names = sorted(path.name for path in (place / "out").rglob("*.*"))
    assert names == ["a.png", "b.jpg", "c.webp", "d.tiff", "e.png"]


def test_outputs_of_one_name_get_the_full_names_of_their_inputs(place):
    shutil.copy(place / "in" / "b.jpg", place / "in" / "a.jpg")
    (place / "in" / "deep" / "D.jpg").write_bytes((place / "in" / "b.jpg").read_bytes())
    assert restore(place, place / "in", "-o", place / "out", "--format", "png") == 0
    names = sorted(path.relative_to(place / "out").as_posix() for path in (place / "out").rglob("*.png"))
    assert names == ["a.jpg.png", "a.png.png", "b.png", "c.png", "deep/D.jpg.png", "deep/d.tiff.png"]


def test_companions_that_exist_are_kept(place, capsys):
    (place / "o.png.kernel.npy").write_text("mine")
    assert restore(place, place / "in" / "a.png", "-o", place / "o.png", "--save-kernel") == 0
    assert "skipped, because o.png.kernel.npy exists (--overwrite replaces it)" in capsys.readouterr().err
    assert not (place / "o.png").exists() and (place / "o.png.kernel.npy").read_text() == "mine"
    assert restore(place, place / "in" / "a.png", "-o", place / "o.png", "--save-kernel", "--overwrite") == 0
    assert np.load(place / "o.png.kernel.npy").shape == (11, 11)


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [(["restor", "a.png"], "did you mean restore?"), (["restore", "a.png", "--shink", "2"], "did you mean --shrink?")],
)
def test_misspelt_words_are_answered_with_the_nearest(capsys, arguments, suggestion):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2 and suggestion in capsys.readouterr().err


def test_a_module_of_the_user_is_imported_first(place, capsys, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    (place / "my_ring_kernels.py").write_text(
        "import jax.numpy as jnp\n"
        "from blindsr_jax.degradations import register_sampler\n"
        "@register_sampler('my_box')\n"
        "def box(key, count, *, size): return jnp.full((count, size, size), 1 / size**2)\n"
    )
    command = ["degrade", "in/a.png", "-o", "o.png", "--scale", "2", "--steps", "blur(my_box), downsample(), round8()"]
    assert main(command) == 2
    assert "blindsr --import MODULE" in capsys.readouterr().err
    assert main(["--import", "my_ring_kernels", *command]) == 0
    assert main(["--import", "no_such_module_here", "models"]) == 2
    assert "--import no_such_module_here: No module named" in capsys.readouterr().err


# A job in a shell's background is started deaf to Ctrl-C, and so are its children.
_COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from blindsr_jax.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, drilled(signal.SIGTERM)], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.slow
def test_a_command_ends_at_once_and_leaves_nothing(place, sent):
    """While a program computes, nothing can interrupt it: here a picture of two megapixels."""
    noise = np.random.default_rng(0).integers(0, 256, (1400, 1400, 3), np.uint8)
    Image.fromarray(noise).save(place / "large.png")
    options = ["--model", "tiny.safetensors", "--self-ensemble", "--tile", "0", "-o", "out/large.png"]
    command = [sys.executable, "-c", _COMMAND, "restore", "large.png", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and _seconds_of_work(process.pid) < 6:  # past its imports
            time.sleep(0.1)
        assert process.poll() is None
        process.send_signal(sent)
        start = time.monotonic()
        _, said = process.communicate(timeout=60)
        seconds = time.monotonic() - start
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[sent]
    assert "what is finished is complete" in said and "Traceback" not in said
    assert seconds < 10, "two on a quiet machine"
    assert not (place / "out").exists() or not list((place / "out").iterdir())


def _seconds_of_work(process_id):
    """Processor time of a process."""
    fields = pathlib.Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
