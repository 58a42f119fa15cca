"""``blindsr degrade``, ``convert``, ``models``, and what all commands share."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from blindsr_jax.cli import main
from blindsr_jax.degradations.notation import steps_from_text
from blindsr_jax.images.colour_profiles import Colours, profile_of
from blindsr_jax.inference.loading import load
from tests.cli.commands import restore, size

ROOT = pathlib.Path(__file__).parents[2]


def test_argparse_mistakes_exit_with_two(capsys):
    for arguments in (["restore"], ["dance"], ["restore", "x", "-o", "y", "--model", "m", "--iterations", "0"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
    assert "whole number of at least 1" in capsys.readouterr().err


def test_degrade_writes_lr_and_kernel_and_repeats_itself(place, capsys):
    arguments = ["degrade", str(place / "in" / "a.png"), "--scale", "2", "--kernel", "aniso:1.5,0.8,30", "--noise", "5"]
    arguments[4:6] = ["--kernel", "iso:1.2"]  # a 31-wide kernel is too large for this image
    assert main([*arguments, "-o", str(place / "one")]) == 0
    assert main([*arguments, "-o", str(place / "two")]) == 0
    assert size(place / "one" / "a.png") == (9, 7)
    assert np.load(place / "one" / "a.png.kernel.npy").shape == (21, 21)
    assert (place / "one" / "a.png").read_bytes() == (place / "two" / "a.png").read_bytes()


def test_degrade_keeps_colours(place):
    """A profile of RGB lasts, as in ``restore``; pixels of a grey one become sRGB, because LR images have no grey."""
    linear = {grey: profile_of(Colours(gamma=1.0), grey=grey) for grey in (False, True)}
    Image.new("RGB", (80, 80), (55, 55, 55)).save(place / "rgb.png", icc_profile=linear[False])
    Image.new("L", (80, 80), 55).save(place / "grey.png", icc_profile=linear[True])
    for name in ("rgb", "grey"):
        assert main(["degrade", str(place / f"{name}.png"), "--scale", "2", "-o", str(place / "lr")]) == 0
    with Image.open(place / "lr" / "rgb.png") as rgb, Image.open(place / "lr" / "grey.png") as grey:
        assert rgb.info["icc_profile"] == linear[False] and rgb.getpixel((9, 9)) == (55, 55, 55)
        assert "icc_profile" not in grey.info and grey.getpixel((9, 9)) == (128, 128, 128)  # light of 0.2157


def test_degrade_by_steps_prints_them_and_writes_the_kernel_of_the_first_blur(place, capsys):
    steps = "blur(isotropic(sigma=(1, 3), size=5)), downsample(), noise((5, 9)), jpeg((40, 90))"
    arguments = ["degrade", str(place / "in" / "a.png"), "--scale", "2", "--steps", steps]
    assert main([*arguments, "-o", str(place / "steps")]) == 0
    printed = capsys.readouterr().out.split("steps: ")[1].splitlines()[0]
    assert steps_from_text(printed, 2) == steps_from_text(steps, 2)
    assert size(place / "steps" / "a.png") == (9, 7)
    kernel = np.load(place / "steps" / "a.png.kernel.npy")
    assert kernel.shape == (5, 5) and kernel.max() < 0.5
    assert main([*arguments, "-o", str(place / "other"), "--seed", "1"]) == 0
    assert not np.array_equal(np.load(place / "other" / "a.png.kernel.npy"), kernel)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "photo", "--noise", "5"], "leave out --noise"),
        (["--steps", "photo", "--kernel", "iso:2", "--downsample", "s_fold"], "leave out --kernel, --downsample"),
        (["--steps", "blurr()"], "no degradation step 'blurr'"),
    ],
)
def test_steps_that_cannot_be_are_named(place, capsys, arguments, message):
    assert main(["degrade", str(place / "in" / "a.png"), "-o", str(place / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("kernel", ["iso:", "iso:-1", "iso:a", "aniso:1,2", "aniso:1,2,nan", "absent.npy"])
def test_unreadable_kernels_are_named(place, capsys, kernel):
    assert main(["degrade", str(place / "in" / "a.png"), "-o", str(place / "out"), "--kernel", kernel]) == (
        1 if kernel == "absent.npy" else 2
    )
    assert kernel in capsys.readouterr().err


def test_a_kernel_too_large_for_an_image_fails_that_image(place, capsys):
    arguments = ["degrade", str(place / "in" / "a.png"), "-o", str(place / "out"), "--kernel", "aniso:3,2,10"]
    assert main(arguments) == 1
    assert "too large" in capsys.readouterr().err


def test_official_checkpoints_become_bundles(reference, tmp_path, capsys):
    source, target = reference / "networks" / "danv2_x2.pth", tmp_path / "m.safetensors"
    assert main(["convert", str(source), "-o", str(target)]) == 0
    image = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)
    np.testing.assert_array_equal(load(source).restore(image), load(target).restore(image))
    before = target.read_bytes()
    assert main(["convert", str(reference / "networks" / "danv2_x3.pth"), "-o", str(target)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert target.read_bytes() == before
    assert main(["convert", str(reference / "networks" / "danv2_x3.pth"), "-o", str(target), "--overwrite"]) == 0
    assert load(target).scale == 3


def test_every_official_checkpoint_converts_without_torch(reference, tmp_path):
    """In one new process, as for users; torch is never imported."""
    sources = sorted(str(path) for path in (reference / "networks").glob("*.pth"))
    assert len(sources) == 12
    code = (
        "import sys; from blindsr_jax.cli import main\n"
        f"for i, source in enumerate({sources!r}):\n"
        f"    code = main(['convert', source, '-o', {str(tmp_path)!r} + f'/{{i}}.safetensors'])\n"
        "    print('code', code)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'tensorflow')])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith("code")] == ["code 0"] * 12
    assert lines[-1] == "[]"
    assert len(list(tmp_path.glob("*.safetensors"))) == 12


def test_models_and_version(capsys):
    assert main(["models"]) == 0
    assert re.search(r"\nmodel-based-x4 +×4 +0 +Kernel estimator: ", capsys.readouterr().out)
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_convert_makes_a_bundle_of_a_run(place, capsys):
    from blindsr_jax.training.loop import train
    from tests.training.conftest import tiny_config

    train(tiny_config(steps=1), place / "run")
    assert main(["convert", str(place / "run"), "-o", str(place / "made.safetensors")]) == 0
    assert restore(place, place / "in" / "a.png", "-o", place / "o.png", "--model", place / "made.safetensors") == 0
    assert json.loads((place / "run" / "config.json").read_text())["steps"] == 1
    by_folder = restore(place, place / "in" / "a.png", "-o", place / "p.png", "--model", place / "run")
    assert by_folder == 1, "this run was not evaluated, so that it has no bundle yet"
    shutil.copy(place / "made.safetensors", place / "run" / "model.safetensors")
    assert restore(place, place / "in" / "a.png", "-o", place / "p.png", "--model", place / "run") == 0
    assert (place / "p.png").read_bytes() == (place / "o.png").read_bytes()
    assert main(["convert", str(place / "in" / "a.png"), "-o", str(place / "x.safetensors")]) == 2
    assert "expected the workdir" in capsys.readouterr().err
    assert main(["convert", str(place / "in"), "-o", str(place / "x.safetensors")]) == 1
    assert main(["convert", str(place / "run"), "-o", str(place / "x.bin")]) == 2
    assert "no training run" in capsys.readouterr().err


def test_a_reader_of_the_output_may_stop(tmp_path):
    command = f"{shlex.quote(sys.executable)} -m blindsr_jax.cli models | true"
    result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert (result.returncode, result.stderr) == (141, "")
