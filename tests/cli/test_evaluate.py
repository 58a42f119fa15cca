"""``blindsr evaluate``."""

import json
import shutil

import numpy as np
from PIL import Image

from blindsr_jax.weights.bundle import save_bundle
from tests.cli.commands import evaluate
from tests.inference.conftest import tiny_bundle


def test_evaluate_writes_a_report_per_folder(scene, capsys):
    shutil.copytree(scene / "hr", scene / "hr2")
    assert evaluate(scene, "--scale", 2, "--data", scene / "hr", scene / "hr2") == 0
    assert "gaussian8 ×2" in capsys.readouterr().out
    for folder in ("hr", "hr2"):
        report = json.loads((scene / "report" / folder / "report.json").read_text())
        assert (report["protocol"], report["scale"], report["images"], report["rows"]) == ("gaussian8", 2, 1, 8)
        assert (scene / "report" / folder / "widths.png").is_file()
    assert evaluate(scene, "--scale", 4, "--data", scene / "hr", output="r") == 2
    assert evaluate(scene, "--data", scene / "in", output="r") == 1
    assert "smaller than the 32" in capsys.readouterr().err
    assert evaluate(scene, "--data", scene / "hr", scene / "in", output="r") == 1, "the good folder is scored"
    assert (scene / "r" / "hr" / "report.md").is_file()
    assert evaluate(scene, "--data", scene / "hr", scene / "hr", output="r") == 2
    assert "same name" in capsys.readouterr().err


def test_evaluate_goes_on_and_keeps_reports_of_other_things(scene, capsys):
    arguments = ["--data", scene / "hr", "--sweep", 2, "--kernel", "estimated", "none"]
    assert evaluate(scene, *arguments) == 0
    capsys.readouterr()
    before = (scene / "report" / "report.json").read_bytes()
    assert evaluate(scene, *arguments) == 0
    output = capsys.readouterr().out
    assert "going on after 1 of 1 images" in output
    assert "| no kernel |" in output
    assert "| T = 2 |" in output
    assert (scene / "report" / "report.json").read_bytes() == before
    assert evaluate(scene, "--data", scene / "hr") == 1
    assert "report of something else (another methods)" in capsys.readouterr().err
    assert (scene / "report" / "report.json").read_bytes() == before
    assert evaluate(scene, "--data", scene / "hr", "--overwrite") == 0
    assert "methods" not in json.loads((scene / "report" / "report.json").read_text())


def test_evaluate_with_given_kernels(scene, capsys):
    kernel = np.zeros((5, 5))
    kernel[0, 2] = kernel[2, 2] = 0.5
    np.save(scene / "mine.npy", kernel)
    arguments = ["--protocol", "s_fold_circular", "--data", scene / "hr", "--kernels", scene / "mine.npy"]
    assert evaluate(scene, *arguments, "--self-ensemble") == 0
    report = json.loads((scene / "report" / "report.json").read_text())
    assert (report["protocol"], report["rows"]) == ("s_fold_circular", 1)
    assert report["model"] == "tiny.safetensors+ (self-ensemble)"
    assert report["psnr_rgb"] is not None
    options = ["--kernel", "true", "--back-project", 2]
    assert evaluate(scene, *arguments, *options, output="back") == 0
    back = json.loads((scene / "back" / "report.json").read_text())
    assert back["model"] == "tiny.safetensors (2 back-projections)"
    assert "--back-project 2" in back["command"]
    assert evaluate(scene, *arguments, *options, "--sweep", 2, "--kernel", "estimated", output="no") == 2
    assert "without back-projection" in capsys.readouterr().err
    assert evaluate(scene, *arguments, "--flip-kernels", output="flipped") == 0
    flipped = json.loads((scene / "flipped" / "report.json").read_text())
    assert flipped["bicubic_psnr_y"] != report["bicubic_psnr_y"]
    assert evaluate(scene, "--protocol", "s_fold_circular", "--data", scene / "hr", output="r") == 2
    assert "wants kernels: --kernels" in capsys.readouterr().err
    assert evaluate(scene, "--kernels", scene / "mine.npy", "--data", scene / "hr", output="r") == 2
    assert "gaussian8 has its own" in capsys.readouterr().err


def test_div2krk_prints_the_papers_rows_and_that_it_is_a_part(place, capsys):
    rng = np.random.default_rng(0)
    for folder, side in (("gt", 96), ("lr_x2", 48)):
        (place / "krk" / folder).mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(place / "krk" / folder / "im_1.png")
    assert evaluate(place, "--protocol", "div2krk", "--data", place / "krk") == 0
    output = capsys.readouterr().out
    assert "| DANv2 | all | 32.58 |" in output
    assert "ONLY 1 of 100 images, not comparable" in output
    assert evaluate(place, "--protocol", "div2krk", "--data", place / "krk", "--kernel", "true", output="r") == 1
    assert "true kernel is not known" in capsys.readouterr().err


def test_set5_stands_beside_the_papers(benchmarks, tmp_path, capsys):
    save_bundle(tmp_path / "tiny4.safetensors", tiny_bundle(4))
    (tmp_path / "Set5").mkdir()
    shutil.copy(benchmarks / "Set5" / "img_003.png", tmp_path / "Set5")
    assert evaluate(tmp_path, "--scale", 4, "--data", tmp_path / "Set5", model="tiny4.safetensors") == 0
    output = capsys.readouterr().out
    for row in (
        "| IKC | all | 31.67 |",
        "| DANv1 | all | 31.89 |",
        "| DANv2 | all | 32.00 |",
        "| DSSR | all | 31.97 |",
    ):
        assert row in output
    assert "ONLY 1 of 5 images" in output


def test_models_stand_beside_each_other(scene, capsys, reference):
    rng = np.random.default_rng(0)
    kernels = rng.uniform(size=(2, 5, 5))
    np.save(scene / "two.npy", kernels / kernels.sum(axis=(1, 2), keepdims=True))
    shutil.copy(scene / "hr" / "x.png", scene / "hr" / "y.png")
    tiny = reference / "networks" / "usrnet_tiny.pth"
    options = ["--protocol", "s_fold_circular", "--kernels", scene / "two.npy", "--one-kernel-per-image"]
    arguments = [*options, "--data", scene / "hr", "--iterations", 2]
    first, other = f"fixed-gaussian-x2+{tiny}", f"{scene / 'tiny.safetensors'}+{tiny}"
    assert evaluate(scene, *arguments, "--beside", other, "tiny.safetensors", model=first) == 1, "no such model here"
    assert "no such file" in capsys.readouterr().err
    assert evaluate(scene, *arguments, "--beside", other, scene / "tiny.safetensors", model=first) == 0
    report = json.loads((scene / "report" / "report.json").read_text())
    names = ["fixed-gaussian-x2+usrnet_tiny.pth", "tiny.safetensors+usrnet_tiny.pth", "tiny.safetensors"]
    assert list(report["methods"]) == names
    assert (report["model"], report["rows"]) == (names[0], 2)
    assert report["protocol"] == "s_fold_circular, one of 2 kernels per image"
    assert report["psnr_y"] == report["methods"][names[0]]["psnr_y"] != report["methods"][names[1]]["psnr_y"]
    output = capsys.readouterr().out
    assert "kernel seconds" in output and "| Fixed Gaussian | 0.319 | 26.61, 0.890 |" in output
    assert evaluate(scene, *arguments, "--beside", other, scene / "tiny.safetensors", model=first) == 0
    assert "going on after 2 of 2 images" in capsys.readouterr().out
    assert evaluate(scene, *arguments, "--beside", "fixed-gaussian-x2", model=first) == 1
    assert "another models beside" in capsys.readouterr().err
    for beside, message in (
        ([other, other], "two models are called tiny.safetensors+usrnet_tiny.pth"),
        (["model-based-x4"], "works at scale 4"),
        ([tiny], "needs a kernel"),
    ):
        assert evaluate(scene, *arguments, "--beside", *beside, model=first, output="r") == 2
        assert message in capsys.readouterr().err
    assert evaluate(scene, "--one-kernel-per-image", "--data", scene / "hr", output="r") == 2
    assert "gaussian8 has its own" in capsys.readouterr().err


def test_a_model_in_bfloat16_stands_beside_itself(scene, capsys, reference):
    own, tiny = scene / "tiny.safetensors", reference / "networks" / "usrnet_tiny.pth"
    arguments = ["--data", scene / "hr", "--precision", "bfloat16"]
    assert evaluate(scene, *arguments, "--beside", own) == 0
    report = json.loads((scene / "report" / "report.json").read_text())
    names = ["tiny.safetensors (bfloat16)", "tiny.safetensors"]
    assert list(report["methods"]) == names
    scores = [report["methods"][name]["psnr_y"] for name in names]
    assert 0 < abs(scores[0] - scores[1]) < 0.1
    assert evaluate(scene, *arguments[:2], "--beside", "fixed-gaussian-x2") == 1
    assert "another model" in capsys.readouterr().err
    assert evaluate(scene, *arguments, "--scale", 2, model=tiny, output="r") == 2
    assert "USRNet inverts a blur, for which it needs float32" in capsys.readouterr().err
