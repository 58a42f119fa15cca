import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.signal
from flax.traverse_util import flatten_dict

from blindsr_jax import config as config_lib
from blindsr_jax import degradations, load, losses, ops, pipeline
from blindsr_jax.errors import ConfigError, DataError, WeightsError
from blindsr_jax.inference.loading import model_of
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.pooled_context import pooled_means
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.metrics.kernel import kernel_width
from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.chain import unstack_chains
from blindsr_jax.networks.dcls_estimator import FILTER_SIZES, Estimator, impulse_response
from blindsr_jax.training.setup import optimizer_of, stages_of, state_of
from blindsr_jax.training.sharding import data_mesh, put_batch
from blindsr_jax.training.step import make_train_step, supervised_loss
from blindsr_jax.types import Degraded
from blindsr_jax.weights import official
from blindsr_jax.weights.torch_names import to_paths
from blindsr_jax.weights.torch_reader import read_torch_checkpoint

SIZES = {"features": 8, "groups": 1, "blocks": 1, "latent_features": 4}


@pytest.fixture(scope="module")
def model():
    """Random weights, but kernels as before training, which are narrow: others have no stable inverse."""
    network, rng = build("dcls", scale=2, kernel_size=11, **SIZES), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))["params"]
    params = jax.tree.map(lambda x: np.float32(rng.uniform(-1, 1, x.shape) / np.prod(x.shape[:-1]) ** 0.5), shapes)
    params["estimator"] |= _first_estimate()[1]["params"]
    return model_of(network, {"params": params, "constants": {}})


def _first_estimate():
    """Kernel and parameters of an Estimator before training, from means that are random."""
    estimator, mean = Estimator(11, 8, 4), jax.random.normal(jax.random.key(1), (1, 1, 1, 8))
    return jax.jit(lambda key: estimator.init_with_output(key, mean, method="kernel_of"))(jax.random.key(0, impl="rbg"))


def _images(height, width, batch=1, seed=2):
    return np.asarray(jax.random.uniform(jax.random.key(seed), (batch, height, width, 3)))


@pytest.mark.parametrize(
    ("scale", "kernel_size", "millions"),
    [(2, 21, 13.48), (3, 21, 13.66), (4, 21, 13.63), (2, 11, 8.91), (4, 31, 19.05)],
)
def test_full_size(scale, kernel_size, millions):
    """The numbers of parameters of the authors' networks, whose 50 blocks are equal."""

    def count(blocks):
        network = build("dcls", scale=scale, kernel_size=kernel_size, groups=1, blocks=blocks)
        variables = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))
        return sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))

    one, two = count(1), count(2)
    assert round((one + 49 * (two - one)) / 1e6, 2) == millions


@pytest.mark.parametrize("kernel_size", FILTER_SIZES)
def test_the_impulse_response_of_a_chain_of_convolutions(kernel_size):
    rng, channels = np.random.default_rng(0), [3, *[2] * (len(FILTER_SIZES[kernel_size]) - 1), 3]
    filters = [
        rng.normal(size=(1, after, before, size, size))
        for before, after, size in zip(channels[:-1], channels[1:], FILTER_SIZES[kernel_size])
    ]
    maps = np.ones((3, 1, 1))
    for layer in filters:
        pairs = [
            [scipy.signal.convolve(maps[i], layer[0, o, i]) for i in range(len(maps))] for o in range(len(layer[0]))
        ]
        maps = np.array([sum(row) for row in pairs])
    got = impulse_response([jnp.float32(layer) for layer in filters])[0]
    assert got.shape == (3, kernel_size, kernel_size)
    np.testing.assert_allclose(got, maps, atol=2e-6 * np.abs(maps).max())


def test_before_training_the_kernel_is_narrow():
    kernel = np.asarray(_first_estimate()[0][0])
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert kernel_width(kernel) == pytest.approx(0.8, rel=0.1)


def test_what_tiles_share_is_that_of_the_whole_image(model):
    image = _images(45, 70)[0]
    apply = jax.jit(lambda v, lr: model.module.apply(v, lr, method=lambda net, lr: net.pooled_of(net.maps(lr))))
    whole = apply(model.variables, image[None])
    parts = pooled_means(model.module, model.variables, Pixels(image), part=40)
    for name, mean in whole.items():
        np.testing.assert_allclose(parts[name], mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.estimate(Pixels(image)).kernel, model(image[None]).kernel, atol=1e-6)


def test_tiles_are_the_whole_image(model):
    smooth = np.asarray(ops.imresize(_images(20, 26), 5))[0].clip(0, 1)
    whole, tiled = (restore_image(model, smooth, tile=tile) for tile in (0, 64))
    np.testing.assert_allclose(tiled.kernel, whole.kernel, atol=1e-6)
    assert np.abs(tiled.image - whole.image).max() < 2 / 255


def test_an_interpolated_image_may_be_added(model):
    """If the Restorer's features are ignored, that is the result."""
    upscale = jax.tree.map(np.zeros_like, model.variables["params"]["restorer"]["upscale"])
    params = model.variables["params"] | {"restorer": model.variables["params"]["restorer"] | {"upscale": upscale}}
    lr = _images(12, 17)
    for skip, want in {"none": 0.0, "bicubic": np.clip(ops.imresize(lr, 2), 0, 1)}.items():
        sr = jax.jit(model.module.clone(skip=skip).apply)({"params": params}, lr).sr
        np.testing.assert_allclose(sr, np.broadcast_to(want, sr.shape), atol=1e-6)


def test_what_it_cannot_do_is_refused(model):
    lr = _images(12, 12)
    with pytest.raises(DataError, match="7x7 pixels or more"):
        model(_images(6, 9))
    with pytest.raises(DataError, match="one pass"):
        model(lr, iterations=2)
    with pytest.raises(DataError, match="kernel of the HR image"):
        model(lr, kernel=np.full((3, 3), 1 / 9))
    with pytest.raises(DataError, match="float32 only"):
        model.in_precision("bfloat16")
    with pytest.raises(DataError, match="FFT"):
        model.shard_rows()
    with pytest.raises(DataError, match="kernels of LR images"):
        pipeline(model, load("dpir-tv"))


def _target(clean, blurred):
    return jax.jit(degradations.reformulated_kernel, static_argnums=2)(clean, blurred, 11)


def test_the_target_is_the_kernel_of_the_lr_image():
    """Of periodic images, where the division is exact: the true kernel, lowered by a faint weight and cut off."""
    clean = _images(32, 40, batch=2)
    kernel = degradations.anisotropic_gaussian(jnp.array([1.2, 1.0]), jnp.array([2.0, 1.6]), jnp.array([0.3, 1.2]), 11)
    got = _target(clean, ops.blur(clean, kernel, "circular"))
    faint = 0.75 * np.sort(np.asarray(kernel).reshape(2, -1))[:, -41]
    want = np.maximum(kernel - faint[:, None, None], 0)
    np.testing.assert_allclose(got, want / want.sum(axis=(1, 2), keepdims=True), atol=1e-4)


def test_the_target_of_images_without_blur_is_one_pixel():
    clean = _images(24, 24)
    kernel = _target(clean, clean)
    np.testing.assert_allclose(kernel[0], degradations.dirac(11), atol=1e-5)


@pytest.mark.drill
def test_loss_and_gradients_are_those_of_the_authors(reference):
    golden, model = np.load(reference / "field" / "dcls_x4_train.npz"), load(reference / "field" / "dcls_x4.pth")

    def loss(params):
        degraded = Degraded(lr=jnp.asarray(golden["lr"]), kernel=jnp.asarray(golden["blur_kernel"]))
        variables, hr = {"params": params, "constants": {}}, jnp.asarray(golden["hr"])
        return supervised_loss(model.module, variables, hr, degraded, loss=losses.kernel_supervision, supervise="last")

    (_, parts), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(model.variables["params"])
    np.testing.assert_allclose(parts["loss_sr"], golden["loss_sr"], rtol=1e-5)
    np.testing.assert_allclose(parts["loss_kernel"], golden["loss_kernel"], rtol=1e-4)
    for name in ("restorer", "estimator"):  # each is trained by its own term alone
        np.testing.assert_allclose(optax.global_norm(grads[name]), golden[f"grad_norm_{name}"], rtol=1e-4)
    wanted, unknown = to_paths("dcls", 2, {name[5:]: golden[name] for name in golden.files if name[:5] == "grad/"})
    assert len(wanted) == 8
    assert not unknown
    grads = flatten_dict(unstack_chains(grads), sep="/")
    for path, want in wanted.items():
        np.testing.assert_allclose(grads[path], want, atol=1e-3 * np.abs(want).max(), err_msg=path)


def test_every_tensor_of_a_file_must_fit(reference, monkeypatch, tmp_path):
    state = read_torch_checkpoint(reference / "field" / "dcls_x2_setting2.pth")
    path, bias = tmp_path / "weights.pth", "Estimator.dec.1.bias"
    path.write_bytes(b"stands for the file that holds these tensors")

    def load(state):
        monkeypatch.setattr(official, "read_torch_checkpoint", lambda path: dict(state))
        return official.load_official(path)

    model = load(state).model
    assert (model["kernel_size"], model["kernel_softmax"], model["blocks"], model["groups"]) == (11, True, 1, 2)
    with pytest.raises(WeightsError, match=r"make no kernel of 11, 21, 31 pixels"):
        load(state | {bias: state[bias][1:]})
    with pytest.raises(WeightsError, match=r"Restorer\.extra\.weight has no place"):
        load(state | {"Restorer.extra.weight": np.zeros((1, 1, 3, 3), np.float32)})
    with pytest.raises(WeightsError, match=r"restorer/fusion/bias of shape .* is missing"):
        load({name: x for name, x in state.items() if name != "Restorer.fusion.bias"})


def test_recipe_and_settings():
    config = config_lib.default("dcls", 2)
    config_lib.validate(config)
    assert (config.optimizer.learning_rate, config.optimizer.estimator_learning_rate) == (4e-4, 4e-4)
    assert (config.on_divergence, config.optimizer.clip_norm, config.model.kernel_softmax) == ("rollback", 1.0, False)
    assert config_lib.setting2(config).model.kernel_softmax
    assert not config_lib.setting2(config_lib.default("dcls", 4)).model.kernel_softmax
    config.data.patch = 10
    with pytest.raises(ConfigError, match="smaller than the 11x11 kernel of the LR image"):
        config_lib.validate(config)
    config.data.patch, config.degradation.kernel_size = 32, 15
    with pytest.raises(ConfigError, match="kernel_size of model 'dcls' must be 11, 21, 31"):
        config_lib.validate(config)


@pytest.mark.drill
def test_an_update_trains_both_parts():
    config = config_lib.default("dcls", 2)
    config.model.update(SIZES)
    config.degradation.kernel_size, config.optimizer.warmup = 11, 0
    mesh, (stage,) = data_mesh(), stages_of(config)
    state = state_of(config, mesh)
    before = jax.device_get(state.params)
    step = make_train_step(config_lib.network_of(config), optimizer_of(config), mesh, stage, seed=0)
    hr = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    after, metrics = step(state, put_batch(mesh, hr))
    terms = float(metrics["loss_sr"]), float(metrics["loss_kernel"])
    assert float(metrics["loss"]) == pytest.approx(sum(terms), rel=1e-5)
    for part, params in jax.device_get(after.params).items():
        changed = jax.tree.leaves(jax.tree.map(lambda a, b: (a != b).any(), params, before[part]))
        assert np.mean(changed) > 0.8, part  # the others are behind attention's ReLU of one channel
