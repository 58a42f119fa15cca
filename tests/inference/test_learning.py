"""KernelGAN and ZSSR as models: by name, with options, in pipelines, and from the command line."""

import jax
import numpy as np
import pytest
from PIL import Image

import blindsr_jax
from blindsr_jax.cli import main
from blindsr_jax.errors import ConfigError, DataError, WeightsError
from blindsr_jax.internal_learning import zssr
from blindsr_jax.internal_learning.estimated_kernels import offset_of
from blindsr_jax.internal_learning.watching import Learned
from blindsr_jax.metrics import kernel_width
from blindsr_jax.networks import learners


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Small fathers and windows; and KernelGAN finds a Gaussian at once, since it takes hundreds of iterations."""
    monkeypatch.setattr(zssr, "_SIDE", 32)
    monkeypatch.setattr(zssr, "_WINDOW", 32)

    def found(images, options, watch):
        for step in range(1, 6):
            watch(Learned("KernelGAN", step, 5, _raw()))
        return [_raw() for _ in images]

    monkeypatch.setattr(learners, "learn_kernels", found)


def _raw():
    axis = np.exp(-np.square(np.arange(13) - 6.5) / 2)
    return np.outer(axis, axis) / axis.sum() ** 2 * 1.02


def test_options_follow_the_name():
    model = blindsr_jax.load("kernelgan-x2:steps=3000,colours=sum,noise=accumulating,real=true")
    assert (model.module.steps, model.module.colours, model.module.real) == (3000, "sum", True)
    assert "steps=3000,real=True,colours=sum,noise=accumulating" in repr(model)
    plain, other = (blindsr_jax.load(name).fingerprint for name in ("zssr", "zssr:seconds=2.5"))
    assert plain != other and plain == blindsr_jax.load("zssr:steps=1000").fingerprint
    assert plain != blindsr_jax.load("zssr:seed=0,back_projections=0").fingerprint
    for name, message in (
        ("zssr:steps=0", "steps of model 'zssr' must be a whole number of at least 1"),
        ("zssr:back_projections=-1", "at least 0"),
        ("zssr:stepz=3", "no stepz; it has steps, seconds, policy"),
        ("zssr:policy=none", "annealed, published, numpy_1_16, not none"),
        ("kernelgan-x2:steps", "write NAME=VALUE"),
        ("kernelgan-x2:steps=0", "whole number of at least 1"),
        ("kernelgan-x2:name=zssr", "name is no option"),
        ("kernelgan-x2:scale=4", "scale is no option"),
        ("zssr:steps=3,steps=4", "steps is given twice"),
    ):
        with pytest.raises(ConfigError, match=message):
            blindsr_jax.load(name)
    for name, message in (
        ("usrnet-tiny:steps=3", "usrnet-tiny takes no options; kernelgan-x2, kernelgan-x4, zssr do"),
        ("kernelgan-x2+", "a model without a name: expected one of"),
    ):
        with pytest.raises(WeightsError, match=message):
            blindsr_jax.load(name)


@pytest.mark.parametrize("scale", [2, 4])
def test_kernels_are_cleaned_and_lie_at_the_centres_of_blocks(scale, photo):
    model = blindsr_jax.load(f"kernelgan-x{scale}")
    batch = np.stack([photo, photo[::-1]]) / np.float32(255)
    out = model(batch, trace=True)
    assert out.sr is None and out.kernel.shape[0] == 2 and out.trace.kernel.shape == (2, *out.kernel.shape)
    assert model.downsample == "s_fold" and model.scales == (scale,) and model.parameters == 0
    np.testing.assert_allclose(out.trace.kernel.sum(axis=(2, 3)), 1, atol=1e-3)
    np.testing.assert_allclose(offset_of(out.kernel[0]), (scale - 1) / 2, atol=0.02)
    widths = [kernel_width(kernels[0]) for kernels in out.trace.kernel]
    assert 0.8 * widths[0] < widths[1] < widths[0]  # cleaned kernels are narrower


def test_what_learning_models_cannot_do_is_said(photo):
    model, solver = blindsr_jax.load("kernelgan-x2"), blindsr_jax.load("zssr:steps=1").at_scale(2)
    lr, kernel = photo[None] / np.float32(255), np.ones((3, 3)) / 9
    cases = [
        (lambda: jax.jit(model)(lr), "outside of jit"),
        (lambda: model(lr, iterations=2), "its option is steps"),
        (lambda: model(lr, kernel=kernel), "does not use a kernel"),
        (lambda: model.with_seconds(3), "no limit of time"),
        (lambda: solver(lr), "needs the blur kernel"),
        (lambda: solver(lr, kernel=kernel, iterations=2), "its option is steps"),
        (lambda: jax.jit(lambda x: solver(x, kernel=kernel))(lr), "outside of jit"),
        (lambda: solver.restore(photo, kernel=kernel, tile=64), "from the whole picture"),
        (lambda: solver.shard_rows(), "its rows cannot be shared"),
        (lambda: blindsr_jax.load("zssr").at_scale(5), "scales 2, 3, 4, not 5"),
        (lambda: blindsr_jax.load("dpir-tv").at_scale(2).with_seconds(3), "does not learn"),
    ]
    for call, message in cases:
        with pytest.raises(DataError, match=message):
            call()


@pytest.mark.parametrize("solver", ["zssr:steps=1", "dpir-tv"])
def test_pipelines_restore_and_tell_how_far_they_are(solver, photo):
    model, looks = blindsr_jax.load(f"kernelgan-x2+{solver}"), []
    small = photo[:16, :20]
    restored = model.with_watch(looks.append).restore(small)
    assert restored.shape == (32, 40, 3) and restored.dtype == np.uint8
    assert {look.task for look in looks} == {"KernelGAN", *(["ZSSR"] if "zssr" in solver else [])}
    if "zssr" in solver:
        assert model.with_seconds(2.0).solver.solver.module.seconds == 2
        assert blindsr_jax.load(solver)(small[None] / np.float32(255), kernel=_raw(), scale=3).sr.shape[1] == 48


def test_the_command_draws_the_kernel_as_it_forms(tmp_path, photo, capsys):
    source, target = tmp_path / "photo.png", tmp_path / "out.png"
    Image.fromarray(photo[:16, :20]).save(source)
    options = ["restore", str(source), "-o", str(target), "--save-kernel", "--seconds", "5"]
    assert main([*options, "--model", "kernelgan-x2+zssr:steps=1"]) == 0
    assert np.load(f"{target}.kernel.npy").shape == (15, 15)
    with Image.open(f"{target}.forming.kernel.png") as forming, Image.open(target) as restored:
        assert forming.size[0] > 100 and restored.size == (40, 32)
    assert main([*options, "--overwrite", "--model", "dan-lite-x2"]) == 2
    assert "--seconds: dan-lite-x2" in capsys.readouterr().err


def test_the_command_tells_about_a_model_without_weights(capsys):
    assert main(["models", "zssr"]) == 0
    assert "trains a network on the picture itself" in capsys.readouterr().out
