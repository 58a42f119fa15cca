import jax
import numpy as np
import pytest

from blindsr_jax import ops
from blindsr_jax.errors import WeightsError
from blindsr_jax.inference.loading import model_of
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.inference.tile_context import context_of_steps
from blindsr_jax.networks import build, init_variables
from blindsr_jax.weights import official
from blindsr_jax.weights.torch_reader import read_torch_checkpoint


def _model(name, **sizes):
    """Random weights; those that make degradations are larger, so that all steps and parts matter."""
    network, rng = build(name, **sizes), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))["params"]
    params = jax.tree.map(lambda x: np.float32(rng.normal(size=x.shape) / np.prod(x.shape[:-1]) ** 0.5), shapes)
    return model_of(network, {"params": params, "constants": {}})


@pytest.fixture(scope="module")
def model():
    return _model("kerneldan", scale=2, features=8, blocks=1)


@pytest.mark.parametrize(
    ("name", "sizes", "millions"),
    [
        ("kerneldan", {"scale": 2}, 1.80),
        ("kerneldan", {"scale": 4}, 1.95),
        ("realdan", {"scale": 4}, 1.95),
        ("realdan", {"scale": 4, "body": "rrdb", "estimator_size": "large"}, 12.50),
    ],
)
def test_full_size(name, sizes, millions):
    """The numbers of parameters of the authors' networks, whose 16 blocks are equal."""

    def count(blocks):
        variables = jax.eval_shape(lambda: init_variables(build(name, **sizes, blocks=blocks), jax.random.key(0)))
        return sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))

    one, two = count(1), count(2)
    assert round((one + 15 * (two - one)) / 1e6, 2) == millions


def test_padded_images_get_the_numbers_that_they_get_alone(model):
    """At odd sizes, which strides of two halve upwards."""
    lr = np.random.default_rng(1).random((2, 13, 19, 3), np.float32)
    alone, padded = model(lr), model.padded_to([(24, 32)])(lr)
    for name in ("sr", "kernel", "degradation", "kernel_code"):
        want = getattr(alone, name)
        np.testing.assert_allclose(getattr(padded, name), want, atol=1e-5 * np.abs(want).max(), err_msg=name)


def test_codes_of_all_steps_restore_the_image(model):
    lr = np.random.default_rng(2).random((1, 12, 15, 3), np.float32)
    context = context_of_steps(model.module, model.variables, Pixels(lr[0]), iterations=2)
    again = model.module.apply(model.variables, lr, kernel_code=context.last_code)
    want = model(lr, iterations=2)
    np.testing.assert_allclose(again.sr, want.sr, atol=1e-5 * np.abs(want.sr).max())
    np.testing.assert_allclose(again.degradation, want.degradation, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(context.kernel, want.kernel, atol=1e-6)


def test_tiles_share_the_degradation_of_the_whole_image(model):
    smooth = np.asarray(ops.imresize(np.random.default_rng(3).random((1, 20, 26, 3), np.float32), 5))[0].clip(0, 1)
    whole, tiled = (restore_image(model, smooth, tile=tile) for tile in (0, 64))
    np.testing.assert_allclose(tiled.kernel, whole.kernel, atol=1e-6)
    assert np.abs(tiled.image - whole.image).max() < 2 / 255


def test_files_of_other_colours_or_depths_are_refused(reference, monkeypatch, tmp_path):
    state = read_torch_checkpoint(reference / "field" / "kerneldan_x2.pth")
    path = tmp_path / "weights.pth"
    path.write_bytes(b"stands for the file that holds these tensors")

    def load(changes):
        monkeypatch.setattr(official, "read_torch_checkpoint", lambda path: state | changes)
        return official.load_official(path)

    assert load({}).model["kernel_size"] == 11
    with pytest.raises(WeightsError, match="mean of colours"):
        load({"mean": state["mean"] + 0.01})
    with pytest.raises(WeightsError, match="has 6 blocks"):
        load({"Estimator.body.6.weight": state["Estimator.body.5.weight"]})
    with pytest.raises(WeightsError, match=r"deg_tail\.1\.weight has no place"):
        load({"deg_tail.1.weight": state["deg_tail.0.weight"]})
