import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from blindsr_jax.cli import main
from blindsr_jax.errors import DataError
from blindsr_jax.inference.jobs import plan_outputs
from blindsr_jax.inference.loading import load
from blindsr_jax.weights.bundle import save_bundle
from tests.inference.conftest import tiny_bundle

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def place(tmp_path):
    """A folder with a model and some pictures; the model enlarges twice."""
    save_bundle(tmp_path / "tiny.safetensors", tiny_bundle())
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "c.webp", "deep/d.tiff"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (14, 18, 3), np.uint8)).save(path)
    return tmp_path


def _restore(place, *arguments):
    return main(["restore", "--model", str(place / "tiny.safetensors"), *map(str, arguments)])


def _size(path):
    with Image.open(path) as image:
        return image.size


def test_one_file(place):
    assert _restore(place, place / "in" / "a.png", "-o", place / "out.png") == 0
    assert _size(place / "out.png") == (36, 28)
    assert not list(place.glob("*kernel*"))


def test_folders_keep_their_tree_and_formats(place):
    assert _restore(place, place / "in", "-o", place / "out") == 0
    written = sorted(path.relative_to(place / "out").as_posix() for path in (place / "out").rglob("*.*"))
    assert written == ["a.png", "b.jpg", "c.webp", "deep/d.tiff"]
    assert {_size(path) for path in (place / "out").rglob("*.*")} == {(36, 28)}


def test_the_kernel_is_saved_as_numbers_and_picture(place):
    assert _restore(place, place / "in" / "a.png", "-o", place / "out.png", "--save-kernel", "--iterations", 2) == 0
    kernel = np.load(place / "out.png.kernel.npy")
    assert kernel.shape == (11, 11)
    np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-5)
    assert min(_size(place / "out.png.kernel.png")) >= 100


def test_kernel_pictures_are_not_taken_for_photographs(place):
    assert _restore(place, place / "in", "-o", place / "out", "--save-kernel") == 0
    assert _restore(place, place / "out", "-o", place / "again") == 0
    assert len([path for path in (place / "again").rglob("*") if path.is_file()]) == 4


def test_a_users_kernel_is_used(place):
    np.save(place / "k.npy", np.eye(5, dtype=np.float32) / 5)
    arguments = [place / "in" / "a.png", "-o", place / "out.png", "--kernel", place / "k.npy", "--save-kernel"]
    assert _restore(place, *arguments) == 0
    np.testing.assert_allclose(np.load(place / "out.png.kernel.npy"), np.pad(np.eye(5) / 5, 3), atol=1e-7)


def test_one_bad_file_never_stops_the_rest(place, capsys):
    (place / "in" / "bad.png").write_bytes(b"no image")
    assert _restore(place, place / "in", "-o", place / "out") == 1
    output = capsys.readouterr()
    assert "bad.png" in output.err
    assert "4 of 5 written, 1 failed" in output.out
    assert not (place / "out" / "bad.png").exists()


def test_existing_outputs_are_kept_unless_told(place, capsys):
    (place / "out.png").write_text("precious")
    assert _restore(place, place / "in" / "a.png", "-o", place / "out.png") == 0
    assert (place / "out.png").read_text() == "precious"
    assert "--overwrite" in capsys.readouterr().err
    assert _restore(place, place / "in" / "a.png", "-o", place / "out.png", "--overwrite") == 0
    assert _size(place / "out.png") == (36, 28)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in/absent.png", "-o", "out"], "no such file"),
        (["in", "-o", "out.png"], "several inputs"),
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


def test_argparse_mistakes_exit_with_two(capsys):
    for arguments in (["restore"], ["dance"], ["restore", "x", "-o", "y", "--model", "m", "--iterations", "0"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
    assert "whole number of at least 1" in capsys.readouterr().err


def test_two_inputs_for_one_output_are_refused(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / folder / "same.png")
    with pytest.raises(DataError, match="would both be written"):
        plan_outputs([tmp_path / "x" / "same.png", tmp_path / "y" / "same.png"], tmp_path / "out")


def test_degrade_writes_lr_and_kernel_and_repeats_itself(place, capsys):
    arguments = ["degrade", str(place / "in" / "a.png"), "--scale", "2", "--kernel", "aniso:1.5,0.8,30", "--noise", "5"]
    arguments[4:6] = ["--kernel", "iso:1.2"]  # a 31-wide kernel is too large for this image
    assert main([*arguments, "-o", str(place / "one")]) == 0
    assert main([*arguments, "-o", str(place / "two")]) == 0
    assert _size(place / "one" / "a.png") == (9, 7)
    assert np.load(place / "one" / "a.png.kernel.npy").shape == (21, 21)
    assert (place / "one" / "a.png").read_bytes() == (place / "two" / "a.png").read_bytes()


@pytest.mark.parametrize("kernel", ["iso:", "iso:-1", "iso:a", "aniso:1,2", "aniso:1,2,nan", "absent.npy"])
def test_unreadable_kernels_are_named(place, capsys, kernel):
    assert main(["degrade", str(place / "in" / "a.png"), "-o", str(place / "out"), "--kernel", kernel]) == 2
    assert kernel in capsys.readouterr().err


def test_a_kernel_too_large_for_an_image_fails_that_image(place, capsys):
    arguments = ["degrade", str(place / "in" / "a.png"), "-o", str(place / "out"), "--kernel", "aniso:3,2,10"]
    assert main(arguments) == 1
    assert "too large" in capsys.readouterr().err


@pytest.fixture
def scene(place):
    """A folder ``hr`` with one smooth picture of 72x64 pixels."""
    (place / "hr").mkdir()
    coarse = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 9, 3), np.uint8))
    coarse.resize((72, 64), Image.Resampling.BICUBIC).save(place / "hr" / "x.png")
    return place


def _evaluate(place, *arguments, output="report", model="tiny.safetensors"):
    options = ["--model", model if "+" in str(model) else place / model, "-o", place / output]
    return main(["evaluate", *map(str, [*options, *arguments])])


def test_evaluate_writes_a_report_per_folder(scene, capsys):
    shutil.copytree(scene / "hr", scene / "hr2")
    assert _evaluate(scene, "--scale", 2, "--data", scene / "hr", scene / "hr2") == 0
    assert "gaussian8 ×2" in capsys.readouterr().out
    for folder in ("hr", "hr2"):
        report = json.loads((scene / "report" / folder / "report.json").read_text())
        assert (report["protocol"], report["scale"], report["images"], report["rows"]) == ("gaussian8", 2, 1, 8)
        assert (scene / "report" / folder / "widths.png").is_file()
    assert _evaluate(scene, "--scale", 4, "--data", scene / "hr", output="r") == 2
    assert _evaluate(scene, "--data", scene / "in", output="r") == 2
    assert "smaller than the 32" in capsys.readouterr().err
    assert _evaluate(scene, "--data", scene / "hr", scene / "in", output="r") == 1, "the good folder is scored"
    assert (scene / "r" / "hr" / "report.md").is_file()
    assert _evaluate(scene, "--data", scene / "hr", scene / "hr", output="r") == 2
    assert "same name" in capsys.readouterr().err


def test_evaluate_goes_on_and_keeps_reports_of_other_things(scene, capsys):
    arguments = ["--data", scene / "hr", "--sweep", 2, "--kernel", "estimated", "none"]
    assert _evaluate(scene, *arguments) == 0
    capsys.readouterr()
    before = (scene / "report" / "report.json").read_bytes()
    assert _evaluate(scene, *arguments) == 0
    output = capsys.readouterr().out
    assert "going on after 1 of 1 images" in output
    assert "| no kernel |" in output
    assert "| T = 2 |" in output
    assert (scene / "report" / "report.json").read_bytes() == before
    assert _evaluate(scene, "--data", scene / "hr") == 2
    assert "report of something else (another methods)" in capsys.readouterr().err
    assert (scene / "report" / "report.json").read_bytes() == before
    assert _evaluate(scene, "--data", scene / "hr", "--overwrite") == 0
    assert "methods" not in json.loads((scene / "report" / "report.json").read_text())


def test_evaluate_with_given_kernels(scene, capsys):
    kernel = np.zeros((5, 5))
    kernel[0, 2] = kernel[2, 2] = 0.5
    np.save(scene / "mine.npy", kernel)
    arguments = ["--protocol", "s_fold_circular", "--data", scene / "hr", "--kernels", scene / "mine.npy"]
    assert _evaluate(scene, *arguments, "--self-ensemble") == 0
    report = json.loads((scene / "report" / "report.json").read_text())
    assert (report["protocol"], report["rows"]) == ("s_fold_circular", 1)
    assert report["model"] == "tiny.safetensors+ (self-ensemble)"
    assert report["psnr_rgb"] is not None
    assert _evaluate(scene, *arguments, "--flip-kernels", output="flipped") == 0
    flipped = json.loads((scene / "flipped" / "report.json").read_text())
    assert flipped["bicubic_psnr_y"] != report["bicubic_psnr_y"]
    assert _evaluate(scene, "--protocol", "s_fold_circular", "--data", scene / "hr", output="r") == 2
    assert "wants kernels: --kernels" in capsys.readouterr().err
    assert _evaluate(scene, "--kernels", scene / "mine.npy", "--data", scene / "hr", output="r") == 2
    assert "gaussian8 has its own" in capsys.readouterr().err


def test_div2krk_prints_the_papers_rows_and_that_it_is_a_part(place, capsys):
    rng = np.random.default_rng(0)
    for folder, side in (("gt", 96), ("lr_x2", 48)):
        (place / "krk" / folder).mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(place / "krk" / folder / "im_1.png")
    assert _evaluate(place, "--protocol", "div2krk", "--data", place / "krk") == 0
    output = capsys.readouterr().out
    assert "| DANv2 | all | 32.58 |" in output
    assert "ONLY 1 of 100 images, not comparable" in output
    assert _evaluate(place, "--protocol", "div2krk", "--data", place / "krk", "--kernel", "true", output="r") == 2
    assert "true kernel is not known" in capsys.readouterr().err


def test_set5_stands_beside_the_papers(benchmarks, tmp_path, capsys):
    save_bundle(tmp_path / "tiny4.safetensors", tiny_bundle(4))
    (tmp_path / "Set5").mkdir()
    shutil.copy(benchmarks / "Set5" / "img_003.png", tmp_path / "Set5")
    assert _evaluate(tmp_path, "--scale", 4, "--data", tmp_path / "Set5", model="tiny4.safetensors") == 0
    output = capsys.readouterr().out
    for row in (
        "| IKC | all | 31.67 |",
        "| DANv1 | all | 31.89 |",
        "| DANv2 | all | 32.00 |",
        "| DSSR | all | 31.97 |",
    ):
        assert row in output
    assert "ONLY 1 of 5 images" in output


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


def test_every_official_checkpoint_converts_in_seconds_without_torch(reference, tmp_path):
    """In one fresh process, as users do it; torch is not even looked for."""
    sources = sorted(str(path) for path in (reference / "networks").glob("*.pth"))
    assert len(sources) == 12
    code = (
        "import sys, time; from blindsr_jax.cli import main\n"
        f"for i, source in enumerate({sources!r}):\n"
        "    start = time.perf_counter()\n"
        f"    code = main(['convert', source, '-o', {str(tmp_path)!r} + f'/{{i}}.safetensors'])\n"
        "    print('took', code, time.perf_counter() - start)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'tensorflow')])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    lines = result.stdout.splitlines()
    took = [line.split()[1:] for line in lines if line.startswith("took")]
    assert [code for code, _ in took] == ["0"] * 12
    assert max(float(seconds) for _, seconds in took) < 5
    assert lines[-1] == "[]"
    assert len(list(tmp_path.glob("*.safetensors"))) == 12


def test_a_model_without_kernels_says_so(place, capsys, reference):
    model = reference / "networks" / "dssr_x2.pth"
    assert main(["restore", str(place / "in" / "a.png"), "-o", str(place / "o.png"), "--model", str(model)]) == 0
    assert _size(place / "o.png") == (36, 28)
    for option in (["--save-kernel"], ["--kernel", str(place / "k.npy")]):
        np.save(place / "k.npy", np.ones((3, 3)))
        arguments = ["restore", str(place / "in"), "-o", str(place / "out"), "--model", str(model), *option]
        assert main(arguments) == 2
        assert "works without a blur kernel" in capsys.readouterr().err
    assert not (place / "out").exists()


def test_a_solver_is_told_scale_noise_and_kernel(scene, capsys, reference):
    np.save(scene / "k.npy", np.eye(3) / 3)
    tiny = reference / "networks" / "usrnet_small.pth"
    arguments = ["restore", str(scene / "in" / "a.png"), "-o", str(scene / "o.png"), "--model", str(tiny)]
    assert main([*arguments, "--kernel", str(scene / "k.npy"), "--scale", "3", "--sigma", "2.55"]) == 0
    assert _size(scene / "o.png") == (54, 42)
    for options, message in (
        (["--kernel", str(scene / "k.npy")], "say which with --scale"),
        (["--scale", "3"], "has to be told the blur"),
    ):
        assert main([*arguments, *options]) == 2
        assert message in capsys.readouterr().err
    arguments = ["--protocol", "s_fold_circular", "--data", scene / "hr", "--kernels", scene / "k.npy", "--scale", 2]
    assert _evaluate(scene, *arguments, "--kernel", "true", "none", model=tiny) == 0
    assert "| true kernel |" in capsys.readouterr().out
    assert _evaluate(scene, *arguments, model=tiny, output="r") == 2
    assert "score it with the true kernel" in capsys.readouterr().err
    both = f"{scene / 'tiny.safetensors'}+{tiny}"
    assert _evaluate(scene, *arguments, "--sigma", 2, model=both, output="both") == 0
    assert json.loads((scene / "both" / "report.json").read_text())["kernel_l1"] > 0
    assert _restore(scene, scene / "in" / "a.png", "-o", scene / "p.png", "--sigma", 2) == 2
    assert "not told the noise level" in capsys.readouterr().err


def test_models_stand_beside_each_other(scene, capsys, reference):
    rng = np.random.default_rng(0)
    kernels = rng.uniform(size=(2, 5, 5))
    np.save(scene / "two.npy", kernels / kernels.sum(axis=(1, 2), keepdims=True))
    shutil.copy(scene / "hr" / "x.png", scene / "hr" / "y.png")
    tiny = reference / "networks" / "usrnet_tiny.pth"
    options = ["--protocol", "s_fold_circular", "--kernels", scene / "two.npy", "--one-kernel-per-image"]
    arguments = [*options, "--data", scene / "hr", "--iterations", 2]
    first, other = f"fixed-gaussian-x2+{tiny}", f"{scene / 'tiny.safetensors'}+{tiny}"
    assert _evaluate(scene, *arguments, "--beside", other, "tiny.safetensors", model=first) == 2, "no such model here"
    assert "no such file" in capsys.readouterr().err
    assert _evaluate(scene, *arguments, "--beside", other, scene / "tiny.safetensors", model=first) == 0
    report = json.loads((scene / "report" / "report.json").read_text())
    names = ["fixed-gaussian-x2+usrnet_tiny.pth", "tiny.safetensors+usrnet_tiny.pth", "tiny.safetensors"]
    assert list(report["methods"]) == names
    assert (report["model"], report["rows"]) == (names[0], 2)
    assert report["protocol"] == "s_fold_circular, one of 2 kernels per image"
    assert report["psnr_y"] == report["methods"][names[0]]["psnr_y"] != report["methods"][names[1]]["psnr_y"]
    output = capsys.readouterr().out
    assert "kernel seconds" in output and "| Fixed Gaussian | 0.319 | 26.61, 0.890 |" in output
    assert _evaluate(scene, *arguments, "--beside", other, scene / "tiny.safetensors", model=first) == 0
    assert "going on after 2 of 2 images" in capsys.readouterr().out
    assert _evaluate(scene, *arguments, "--beside", "fixed-gaussian-x2", model=first) == 2
    assert "another models beside" in capsys.readouterr().err
    for beside, message in (
        ([other, other], "two models are called tiny.safetensors+usrnet_tiny.pth"),
        (["model-based-x4"], "works at scale 4"),
        ([tiny], "has to be told the kernel"),
    ):
        assert _evaluate(scene, *arguments, "--beside", *beside, model=first, output="r") == 2
        assert message in capsys.readouterr().err
    assert _evaluate(scene, "--one-kernel-per-image", "--data", scene / "hr", output="r") == 2
    assert "gaussian8 has its own" in capsys.readouterr().err


def test_a_model_in_bfloat16_stands_beside_itself(scene, capsys, reference):
    own, tiny = scene / "tiny.safetensors", reference / "networks" / "usrnet_tiny.pth"
    arguments = ["--data", scene / "hr", "--precision", "bfloat16"]
    assert _evaluate(scene, *arguments, "--beside", own) == 0
    report = json.loads((scene / "report" / "report.json").read_text())
    names = ["tiny.safetensors (bfloat16)", "tiny.safetensors"]
    assert list(report["methods"]) == names
    scores = [report["methods"][name]["psnr_y"] for name in names]
    assert 0 < abs(scores[0] - scores[1]) < 0.1
    assert _evaluate(scene, *arguments[:2], "--beside", "fixed-gaussian-x2") == 2
    assert "another model" in capsys.readouterr().err
    assert _evaluate(scene, *arguments, "--scale", 2, model=tiny, output="r") == 2
    assert "usrnet_tiny.pth inverts a blur, for which it needs float32" in capsys.readouterr().err


def test_an_estimator_alone_restores_nothing(place, capsys):
    import jax

    from blindsr_jax.networks import build, init_variables
    from blindsr_jax.weights.bundle import Bundle

    sizes = {"name": "kernelnet", "scale": 2, "kernel_size": 13, "width": 4, "refine_features": 4}
    variables = init_variables(build(**sizes), jax.random.key(0, impl="rbg"))
    save_bundle(place / "k.safetensors", Bundle(jax.tree.map(np.asarray, variables), sizes))
    alone, image = str(place / "k.safetensors"), str(place / "in" / "a.png")
    assert main(["restore", image, "-o", str(place / "o.png"), "--model", alone, "--save-kernel"]) == 2
    assert "join it with a solver" in capsys.readouterr().err
    both = f"{alone}+dpir-tv"
    assert (
        main(["restore", image, "-o", str(place / "o.png"), "--model", both, "--save-kernel", "--iterations", "2"]) == 0
    )
    assert _size(place / "o.png") == (36, 28)
    assert np.load(place / "o.png.kernel.npy").shape == (13, 13)
    window = ["--kernel-window", "16", "--iterations", "1", "--overwrite"]
    assert main(["restore", image, "-o", str(place / "o.png"), "--model", both, *window]) == 0
    assert main(["restore", image, "-o", str(place / "p.png"), "--model", "dpir-tv", "--scale", "2", *window]) == 2
    assert "estimates no kernel" in capsys.readouterr().err


def test_a_large_picture_in_tiles(place, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (70, 100, 3), np.uint8)
    Image.fromarray(noise).save(place / "large.png")
    assert _restore(place, place / "large.png", "-o", place / "whole.png", "--tile", "0") == 0
    assert _restore(place, place / "large.png", "-o", place / "tiles.png", "--tile", "64", "--save-kernel") == 0
    whole, tiles = (np.int32(Image.open(place / f"{name}.png")) for name in ("whole", "tiles"))
    assert 0 < np.abs(whole - tiles).mean() < 2
    assert (place / "tiles.png.kernel.npy").is_file()
    with pytest.raises(SystemExit):
        _restore(place, place / "large.png", "-o", place / "x.png", "--tile", "63")
    assert "at least 64" in capsys.readouterr().err


def test_a_second_command_need_not_compile(place):
    """In processes of their own, as users run it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    environment |= {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(place / "cache"), "JAX_LOGGING_LEVEL": "DEBUG"}
    command = [sys.executable, "-m", "blindsr_jax.cli", "restore", place / "in" / "a.png", "-o", place / "o.png"]
    command += ["--model", place / "tiny.safetensors", "--overwrite"]

    def hits():
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, check=True)
        return result.stderr.count("Persistent compilation cache hit for 'jit_apply'")

    assert hits() == 0
    programs = place / "cache" / "blindsr_jax" / "programs"
    assert list(programs.glob("jit_apply*")) and programs.stat().st_mode & 0o777 == 0o700
    assert hits() == 1
    environment["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    assert hits() == 0


def test_models_and_version(capsys):
    assert main(["models"]) == 0
    assert "\nmodel-based-x4: ×4, kernel estimator" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0


def test_restoring_loads_neither_tensorflow_nor_training(place):
    """The core install has none of it."""
    code = (
        "import sys; from blindsr_jax.cli import main; "
        f"code = main(['restore', {str(place / 'in' / 'a.png')!r}, '-o', {str(place / 'o.png')!r}, "
        f"'--model', {str(place / 'tiny.safetensors')!r}]); "
        "print(code, [m for m in ('tensorflow', 'clu', 'torch', 'tensorboard') if m in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert result.stdout.splitlines()[-1] == "0 []"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_convert_makes_a_bundle_of_a_run(place, capsys):
    from blindsr_jax.training.loop import train
    from tests.training.conftest import tiny_config

    train(tiny_config(steps=1), place / "run")
    assert main(["convert", str(place / "run"), "-o", str(place / "made.safetensors")]) == 0
    assert _restore(place, place / "in" / "a.png", "-o", place / "o.png", "--model", place / "made.safetensors") == 0
    assert json.loads((place / "run" / "config.json").read_text())["steps"] == 1
    by_folder = _restore(place, place / "in" / "a.png", "-o", place / "p.png", "--model", place / "run")
    assert by_folder == 2, "this run was not evaluated, so that it has no bundle yet"
    shutil.copy(place / "made.safetensors", place / "run" / "model.safetensors")
    assert _restore(place, place / "in" / "a.png", "-o", place / "p.png", "--model", place / "run") == 0
    assert (place / "p.png").read_bytes() == (place / "o.png").read_bytes()
    assert main(["convert", str(place / "in" / "a.png"), "-o", str(place / "x.safetensors")]) == 2
    assert "expected the workdir" in capsys.readouterr().err
    assert main(["convert", str(place / "in"), "-o", str(place / "x.safetensors")]) == 2
    assert main(["convert", str(place / "run"), "-o", str(place / "x.bin")]) == 2
    assert "no training run" in capsys.readouterr().err
