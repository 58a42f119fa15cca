import jax
import numpy as np
import pytest

from blindsr_jax import config as config_lib
from blindsr_jax import load
from blindsr_jax.errors import ConfigError, DataError, WeightsError
from blindsr_jax.inference.loading import model_of
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.pooled_context import pooled_means
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.networks import build, init_variables
from blindsr_jax.weights import official
from blindsr_jax.weights.bundle import save_bundle
from blindsr_jax.weights.torch_reader import read_torch_checkpoint
from tests.conftest import drilled


@pytest.fixture(scope="module")
def model():
    """Random weights. A pixel sees less of the image than a tile's margin."""
    sizes = {"features": 8, "code_features": 8, "groups": 1, "blocks": 1, "encoder_features": (4, 6, 8)}
    network, rng = build("dasr", scale=2, **sizes), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))["params"]
    params = jax.tree.map(lambda x: np.float32(rng.normal(size=x.shape) / np.prod(x.shape[:-1]) ** 0.5), shapes)
    return model_of(network, {"params": params, "constants": {}})


def _images(height, width, batch=1, seed=2):
    return np.random.default_rng(seed).random((batch, height, width, 3), np.float32)


@pytest.mark.parametrize(("scale", "millions"), [drilled(2, 4.54), drilled(3, 4.73), (4, 4.69)])
def test_full_size(scale, millions):
    """The numbers of parameters of the authors' networks, with what is left out or folded here."""

    def counts(groups, blocks):
        network = build("dasr", scale=scale, groups=groups, blocks=blocks)
        params = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))["params"]
        return [sum(np.prod(x.shape) for x in jax.tree.leaves(params[part])) for part in ("restorer", "encoder")]

    (one, encoder), (longer, _), (more, _) = counts(1, 1), counts(1, 2), counts(2, 1)
    count = one + 4 * (more - one) + 5 * 4 * (longer - one)  # five equal groups of five equal blocks
    colours = 2 * (3 * 3 + 3)
    assert round((count + colours) / 1e6, 2) == millions
    perceptron, normalisation = 2 * (256**2 + 256), 2 * 2 * (64 + 128 + 256)
    assert round((encoder + perceptron + normalisation) / 1e6, 2) == 1.28


@pytest.mark.drill
def test_padded_images_get_the_numbers_that_they_get_alone(model):
    """At odd sizes, which strides of two halve upwards."""
    lr = _images(13, 19, batch=2)
    alone, padded = model(lr), model.padded_to([(24, 32)])(lr)
    np.testing.assert_allclose(padded.kernel_code, alone.kernel_code, rtol=1e-4)
    np.testing.assert_allclose(padded.sr, alone.sr, atol=1e-5 * np.abs(alone.sr).max())


@pytest.mark.parametrize("part", [40, drilled(64)])
def test_the_representation_of_parts_is_that_of_the_image(model, part):
    """Parts begin where the map of the whole image has pixels, also at sizes that are no multiples of four."""
    image = _images(45, 71)
    (mean,) = pooled_means(model.module, model.variables, Pixels(image[0]), part=part).values()
    np.testing.assert_allclose(mean[:, 0, 0], model(image).kernel_code, rtol=1e-4)


def test_tiles_are_the_whole_image(model):
    """But for one pixel behind each margin, which sees just beyond it, only rounding differs."""
    image = _images(70, 101)[0]
    whole, tiled = (restore_image(model, image, tile=tile) for tile in (0, 64))
    np.testing.assert_allclose(tiled.kernel_code, whole.kernel_code, rtol=1e-4)
    np.testing.assert_allclose(tiled.image, whole.image, atol=1e-4)
    assert np.mean(np.abs(tiled.image - whole.image) > 1e-6) < 0.02


def test_what_it_cannot_do_is_refused(model):
    lr = _images(12, 12)
    with pytest.raises(DataError, match="one pass"):
        model(lr, iterations=2)
    with pytest.raises(DataError, match="does not use a kernel"):
        model(lr, kernel=np.full((3, 3), 1 / 9))
    with pytest.raises(DataError, match="float32 only"):
        model.in_precision("bfloat16")
    with pytest.raises(ConfigError, match="no model 'dasr' to train"):
        config_lib.default("dasr", 4)


def test_files(reference, monkeypatch, tmp_path):
    """What only the contrastive loss needs is left out; all else must be there, and must fit."""
    state = read_torch_checkpoint(reference / "field" / "dasr_x3.pth")
    path = tmp_path / "weights.pth"
    path.write_bytes(b"stands for the file that holds these tensors")

    def read(state):
        monkeypatch.setattr(official, "read_torch_checkpoint", lambda path: dict(state))
        return official.load_official(path)

    queue = {"E.queue": np.zeros((32, 16)), "E.queue_ptr": np.zeros(1), "E.encoder_k.mlp.0.bias": np.zeros(32)}
    bundle = read(state | queue)
    assert bundle.model["encoder_features"] == [16, 24, 32]
    save_bundle(tmp_path / "dasr.safetensors", bundle)
    assert load(tmp_path / "dasr.safetensors").module == build(**bundle.model)
    norm = "E.encoder_q.E.7"
    with pytest.raises(WeightsError, match=r"E\.7 does not fit its convolution"):
        read(state | {f"{norm}.running_var": -state[f"{norm}.running_var"]})
    with pytest.raises(WeightsError, match=r"tensor E\.encoder_q\.E\.7\.running_mean is missing"):
        read({name: x for name, x in state.items() if name != f"{norm}.running_mean"})
    with pytest.raises(WeightsError, match=r"mean of colours \(G\.sub_mean\)"):
        read(state | {"G.sub_mean.bias": -state["G.sub_mean.bias"]})
    with pytest.raises(WeightsError, match=r"G\.extra\.weight has no place"):
        read(state | {"G.extra.weight": np.zeros((1, 1, 3, 3), np.float32)})
    with pytest.raises(WeightsError, match=r"restorer/fusion/bias of shape .* is missing"):
        read({name: x for name, x in state.items() if name != "G.body.1.bias"})
