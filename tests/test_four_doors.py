"""The same picture gives the same pixels from Python, by the command, on the page and in an evaluation."""

import jax
import numpy as np
import pytest
from PIL import Image

from blindsr_jax.cli import main
from blindsr_jax.data.sources import open_source
from blindsr_jax.demo import restoring
from blindsr_jax.evaluation.methods import Estimates, Methods, results_of
from blindsr_jax.evaluation.samples import Sample
from blindsr_jax.inference import tile_policy
from blindsr_jax.inference.loading import load
from blindsr_jax.networks import build, init_variables
from blindsr_jax.weights.bundle import Bundle, save_bundle
from tests.conftest import drilled
from tests.inference.conftest import tiny_bundle


def _through_all_doors(name, lr, folder):
    model = load(name)
    yield "python", model.restore(lr)
    Image.fromarray(lr).save(folder / "lr.png")
    assert main(["restore", str(folder / "lr.png"), "-o", str(folder / "sr.png"), "--model", str(name)]) == 0
    yield "command", np.asarray(Image.open(folder / "sr.png"))
    *_, outcome = restoring.run(model, lr)
    yield "page", outcome.image
    sample = Sample("a", "a", None, np.zeros((1, 1, 3), np.uint8), lr, None)
    (result,) = results_of(model, sample, Methods(), Estimates(sample))
    yield "evaluation", result.restored.image


def _check_all_equal(name, lr, folder):
    doors = _through_all_doors(name, lr, folder)
    _, first = next(doors)
    for door, image in doors:
        np.testing.assert_array_equal(image, first, err_msg=door)
    return first


def _photograph(height, width):
    """A packaged photograph, mirrored until it is large enough."""
    photo = open_source("sample", split="validation").read(0)
    tiled = np.concatenate([photo, photo[::-1]])
    tiled = np.concatenate([tiled, tiled[:, ::-1]], axis=1)
    return np.ascontiguousarray(tiled[:height, :width])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("doors") / "tiny.safetensors"
    save_bundle(path, tiny_bundle())
    return path


def test_a_small_picture(bundle, tmp_path):
    _check_all_equal(bundle, _photograph(61, 90), tmp_path)


def test_a_picture_whose_steps_the_page_does_not_keep(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(restoring, "STEPS", 60 * 90)
    _check_all_equal(bundle, _photograph(61, 90), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width", "side"), [(123, 122, 64), drilled(1230, 1220, 512)])
def test_a_picture_in_tiles(bundle, tmp_path, monkeypatch, height, width, side):
    """They are not the whole picture to the bit. The limits are lowered to less than the smaller picture has."""
    if side < tile_policy.SIDE:
        monkeypatch.setattr(tile_policy, "WHOLE", height * width - 1)
        monkeypatch.setattr(tile_policy, "SIDE", side)
        monkeypatch.setattr(restoring, "STEPS", 0)
    lr = _photograph(height, width)
    restored = _check_all_equal(bundle, lr, tmp_path)
    assert restored.shape == (2 * height, 2 * width, 3)
    np.testing.assert_array_equal(restored, load(bundle).restore(lr, tile=side))
    assert np.any(restored != load(bundle).restore(lr, tile=0))


def _saved(path, **network):
    module = build(**network)
    variables = jax.jit(lambda key: init_variables(module, key))(jax.random.key(0, impl="rbg"))
    save_bundle(path, Bundle(jax.tree.map(np.asarray, variables), network))


def test_an_estimator_and_a_solver(tmp_path, monkeypatch):
    """Above the limit, which is lowered here, the estimator looks at a part of the picture, whichever door is taken."""
    monkeypatch.setattr(tile_policy, "WHOLE", 70 * 100 - 1)
    monkeypatch.setattr(tile_policy, "SIDE", 64)
    monkeypatch.setattr(tile_policy, "KERNEL_WINDOW", 48)
    monkeypatch.setattr(restoring, "STEPS", 0)
    _saved(tmp_path / "k.safetensors", name="kernelnet", scale=2, kernel_size=13, width=4, refine_features=4)
    sizes = {"iterations": 2, "hyper_features": 4, "features": (4, 4, 4, 4), "blocks": 1}
    _saved(tmp_path / "u.safetensors", name="usrnet", **sizes)
    _check_all_equal(f"{tmp_path / 'k.safetensors'}+{tmp_path / 'u.safetensors'}", _photograph(70, 100), tmp_path)
