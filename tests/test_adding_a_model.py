"""docs/adding_a_model.md, carried out: its two networks train, are stored, load, restore and are scored."""

import pathlib
import re
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from blindsr_jax import config as config_lib
from blindsr_jax.cli import main
from blindsr_jax.config import ConfigDict
from blindsr_jax.errors import ConfigError, DataError, WeightsError
from blindsr_jax.evaluation.methods import Methods
from blindsr_jax.evaluation.protocols import gaussian8
from blindsr_jax.evaluation.samples import make_lr, synthetic_sample
from blindsr_jax.images.reading import read_rgb
from blindsr_jax.inference.loading import load
from blindsr_jax.inference.pipeline import pipeline
from blindsr_jax.metrics import psnr
from blindsr_jax.networks import MODELS, build, register, registry
from blindsr_jax.training.loop import train
from blindsr_jax.training.results import bundle_of, write_results
from blindsr_jax.training.setup import batches_of, state_of, training_source, updates_of
from blindsr_jax.training.sharding import data_mesh, put_batch
from blindsr_jax.weights.bundle import save_bundle

PAGE = (pathlib.Path(__file__).parents[1] / "docs" / "adding_a_model.md").read_text()
SHARPENER, ENTRY, CONFIG, DEBLURRER, MY_CONFIG = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

pytestmark = [
    pytest.mark.slow,
    # TensorBoard's writer and tensorstore leave files to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def registered():
    """Networks that a test registers are gone after it."""
    before = dict(MODELS)
    yield
    MODELS.clear()
    MODELS.update(before)


def _config(text: str) -> ConfigDict:
    scope = {}
    exec(text, scope)
    return scope["get_config"]()


@pytest.fixture
def deblurrer(tmp_path, monkeypatch):
    """The config of the second example, small, whose network lies in a module of the user's own."""
    (tmp_path / "deblurrer.py").write_text(DEBLURRER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "deblurrer", raising=False)
    config = _config(MY_CONFIG)
    config.steps, config.log_every, config.checkpoint.every = 4, 2, 2
    config.model.features, config.data.batch_size, config.data.patch = 4, 4, 16
    config.optimizer.learning_rate = 1e-3
    config.validation.update(every=4, images=1, crop=64, widths=1, source="folder", root=str(tmp_path / "photos"))
    config_lib.validate(config)
    return config


def _assert_restored_as_alone(model, path, folder, photo):
    """Pictures of several sizes by one command, against each alone by the model."""
    (folder / "in").mkdir()
    sizes = (9, 40), (31, 17)
    for height, width in sizes:
        Image.fromarray(photo[:height, :width]).save(folder / "in" / f"{height}.png")
    assert main(["restore", str(folder / "in"), "-o", str(folder / "out"), "--model", str(path)]) == 0
    for height, width in sizes:
        among_others, alone = read_rgb(folder / "out" / f"{height}.png"), model.restore(photo[:height, :width])
        assert np.abs(np.int32(among_others) - alone).max() <= 1


def test_a_network_of_its_own_file_one_line_and_a_config(tmp_path, photo):
    module = {"__name__": "sharpener"}
    exec(SHARPENER, module)
    exec(ENTRY, vars(registry) | {"Sharpener": module["Sharpener"]})
    config = _config(CONFIG)
    config.data.batch_size, config.data.patch, config.model.features = 4, 16, 4
    config_lib.validate(config)
    mesh = data_mesh()
    start = state_of(config, mesh)
    before = jax.tree.map(np.asarray, start.params)
    batch = next(batches_of(config, training_source(config), 0))
    state, metrics = updates_of(config, mesh)(1)(start, put_batch(mesh, batch))
    assert np.isfinite(metrics["loss_sr"])
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max() > 0, before, state.params)
    assert all(jax.tree.leaves(moved))

    path = tmp_path / "sharpener.safetensors"
    save_bundle(path, bundle_of(config, state))
    model = load(path)
    assert model.restore(photo[:24, :32]).shape == (96, 128, 3)
    assert model(np.float32(photo[None, :24, :32]) / 255, trace=True).trace.sr.shape == (3, 1, 96, 128, 3)
    _assert_restored_as_alone(model, path, tmp_path, photo)


def test_a_one_pass_network_with_kernels_of_lr_images(tmp_path, deblurrer, photo):
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo).save(tmp_path / "photos" / "one.png")
    run = tmp_path / "run"
    state = train(deblurrer, run)
    assert int(state.step) == 4 and int(state.bad_steps) == 0
    summary = write_results(deblurrer, run)
    assert summary["psnr_y"] > 0 and summary["lr_psnr"] > 0
    assert summary["kernel_l1"] is None and "kernel ℓ1" not in (run / "report.md").read_text()

    model = load(run)
    assert (model.kernel_space, model.kernel_size, model.iterations) == ("lr", None, None)
    lr = np.float32(photo[None, :24, :32]) / 255
    output = model(lr, trace=True)
    assert output.kernel.shape == (1, 9, 9) and output.trace.sr.shape == (1, 1, 48, 64, 3)
    np.testing.assert_allclose(output.kernel.sum(), 1, atol=1e-5)
    padded = model.padded_to([(40, 48)])(lr)
    np.testing.assert_allclose(padded.sr, output.sr, atol=1e-5)
    np.testing.assert_allclose(padded.kernel, output.kernel, atol=1e-5)
    _assert_restored_as_alone(model, run, tmp_path, photo)

    with pytest.raises(DataError, match="kernels of LR images"):
        pipeline(model, load("dpir-tv"))
    with pytest.raises(DataError, match="works in one pass"):
        model(lr, iterations=2)
    with pytest.raises(DataError, match="repeats no step"):
        Methods(iterations=2).check(model)

    del MODELS["deblurrer"]
    with pytest.raises(WeightsError, match="'deblurrer' was registered by the module deblurrer: import that module"):
        load(run)


def test_a_kernel_of_the_lr_image_is_judged_by_the_lr_image_it_makes(deblurrer, photo):
    """The true kernel, on the grid of LR pixels, explains the LR image better than no blur."""
    on_lr_grid = sys.modules["deblurrer"].on_lr_grid
    protocol = gaussian8(2)
    sample = synthetic_sample("photo", photo, protocol, protocol.cases[4])
    true = np.asarray(on_lr_grid(sample.kernel[None], 2, 9)[0])
    none = np.zeros((9, 9), np.float32)
    none[4, 4] = 1
    explained, unexplained = (
        psnr(make_lr(sample.hr, protocol, kernel, kernel_space="lr"), sample.lr, border=4) for kernel in (true, none)
    )
    assert explained > unexplained + 3
    np.testing.assert_array_equal(
        make_lr(sample.hr, protocol, none, kernel_space="lr"), make_lr(sample.hr, protocol, none)
    )


def test_own_networks_do_not_replace_those_of_the_package():
    with pytest.raises(ConfigError, match="'danv1' is a network of this package"):
        register("danv1")(lambda **sizes: None)
    with pytest.raises(ConfigError, match=r"no model 'mine'; known are danv1.* is imported"):
        build("mine", scale=2)


def test_a_size_without_a_default_is_named():
    register("unsized")(lambda *, scale, width: build("dssr", scale=scale, features=width))
    with pytest.raises(ConfigError, match="model 'unsized' cannot be configured: give width a default"):
        config_lib.default("unsized", 2)
