"""``blindsr restore``: kernels, and models of each kind."""

import json

import numpy as np

from blindsr_jax.cli import main
from blindsr_jax.weights.bundle import save_bundle
from tests.cli.commands import evaluate, restore, size


def test_the_kernel_is_saved_as_numbers_and_picture(place):
    assert restore(place, place / "in" / "a.png", "-o", place / "out.png", "--save-kernel", "--iterations", 2) == 0
    kernel = np.load(place / "out.png.kernel.npy")
    assert kernel.shape == (11, 11)
    np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-5)
    assert min(size(place / "out.png.kernel.png")) >= 100


def test_kernel_pictures_are_not_taken_for_photographs(place):
    assert restore(place, place / "in", "-o", place / "out", "--save-kernel") == 0
    assert restore(place, place / "out", "-o", place / "again") == 0
    assert len([path for path in (place / "again").rglob("*") if path.is_file()]) == 4


def test_a_users_kernel_is_used(place):
    np.save(place / "k.npy", np.eye(5, dtype=np.float32) / 5)
    arguments = [place / "in" / "a.png", "-o", place / "out.png", "--kernel", place / "k.npy", "--save-kernel"]
    assert restore(place, *arguments) == 0
    np.testing.assert_allclose(np.load(place / "out.png.kernel.npy"), np.pad(np.eye(5) / 5, 3), atol=1e-7)


def test_a_model_without_kernels_says_so(place, capsys, reference):
    model = reference / "networks" / "dssr_x2.pth"
    assert main(["restore", str(place / "in" / "a.png"), "-o", str(place / "o.png"), "--model", str(model)]) == 0
    assert size(place / "o.png") == (36, 28)
    for option, message in (
        (["--save-kernel"], "works without a blur kernel"),
        (["--kernel", str(place / "k.npy")], "takes no blur kernel"),
    ):
        np.save(place / "k.npy", np.ones((3, 3)))
        arguments = ["restore", str(place / "in"), "-o", str(place / "out"), "--model", str(model), *option]
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
    assert not (place / "out").exists()


def test_a_solver_is_told_scale_noise_and_kernel(scene, capsys, reference):
    np.save(scene / "k.npy", np.eye(3) / 3)
    tiny = reference / "networks" / "usrnet_small.pth"
    arguments = ["restore", str(scene / "in" / "a.png"), "-o", str(scene / "o.png"), "--model", str(tiny)]
    assert main([*arguments, "--kernel", str(scene / "k.npy"), "--scale", "3", "--sigma", "2.55"]) == 0
    assert size(scene / "o.png") == (54, 42)
    for options, message in (
        (["--kernel", str(scene / "k.npy")], "say which with --scale"),
        (["--scale", "3"], "needs the blur kernel"),
    ):
        assert main([*arguments, *options]) == 2
        assert message in capsys.readouterr().err
    arguments = ["--protocol", "s_fold_circular", "--data", scene / "hr", "--kernels", scene / "k.npy", "--scale", 2]
    assert evaluate(scene, *arguments, "--kernel", "true", "none", model=tiny) == 0
    assert "| true kernel |" in capsys.readouterr().out
    assert evaluate(scene, *arguments, model=tiny, output="r") == 2
    assert "score it with the true kernel" in capsys.readouterr().err
    both = f"{scene / 'tiny.safetensors'}+{tiny}"
    assert evaluate(scene, *arguments, "--sigma", 2, model=both, output="both") == 0
    assert json.loads((scene / "both" / "report.json").read_text())["kernel_l1"] > 0
    assert restore(scene, scene / "in" / "a.png", "-o", scene / "p.png", "--sigma", 2) == 2
    assert "takes no noise level" in capsys.readouterr().err


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
    assert size(place / "o.png") == (36, 28)
    assert np.load(place / "o.png.kernel.npy").shape == (13, 13)
    window = ["--kernel-window", "16", "--iterations", "1", "--overwrite"]
    assert main(["restore", image, "-o", str(place / "o.png"), "--model", both, *window]) == 0
    assert main(["restore", image, "-o", str(place / "p.png"), "--model", "dpir-tv", "--scale", "2", *window]) == 2
    assert "estimates no kernel" in capsys.readouterr().err
