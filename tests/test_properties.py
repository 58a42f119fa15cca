"""Properties that hold for all sizes, kernels and models. Hypothesis draws the same cases in every run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr_jax import degradations, ops
from blindsr_jax.config.model_section import example_network
from blindsr_jax.inference.loading import from_bundle
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.tiling import blending_weights, plan
from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.registry import MODELS
from blindsr_jax.weights.bundle import Bundle, load_bundle, save_bundle
from tests.conftest import drilled
from tests.inference.conftest import tiny_bundle

SEEDS = st.integers(0, 2**32 - 1)


def drawn(examples):
    """Few examples without a limit of time, drawn from the name of the test."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


@drawn(200)
@given(length=st.integers(1, 2000), tile=st.integers(64, 512), scale=st.integers(1, 4), seed=SEEDS)
def test_blended_tiles_of_a_signal_are_the_signal(length, tile, scale, seed):
    signal = np.random.default_rng(seed).random(scale * length)
    total, weight = np.zeros_like(signal), np.zeros_like(signal)
    for start in plan(length, tile):
        size = min(tile, length)
        share = blending_weights(size, first=start == 0, last=start + size == length, scale=scale)
        here = slice(scale * start, scale * (start + size))
        total[here] += share * signal[here]
        weight[here] += share
    np.testing.assert_allclose(total / weight, signal, atol=1e-6)


@pytest.fixture(scope="module")
def enlarger():
    """A DAN whose learned part is zero, so that it repeats every pixel twice in both directions."""
    bundle = tiny_bundle()
    out = bundle.variables["params"]["restorer"]["upscale"]["out"]
    out |= {name: np.zeros_like(array) for name, array in out.items()}
    return from_bundle(bundle)


@drawn(5)
@given(shape=st.sampled_from([(65, 200), (151, 97)]), at_once=st.sampled_from([1, 3]), seed=SEEDS)
def test_an_image_restored_in_tiles_by_a_model_that_repeats_pixels_is_that_image(enlarger, shape, at_once, seed):
    """Of two sizes, since each is compiled; the signal above has any."""
    image = np.random.default_rng(seed).random((*shape, 3), np.float32)
    restored = enlarger.restore(image, tile=64, tiles_at_once=at_once)
    np.testing.assert_allclose(restored, image.repeat(2, 0).repeat(2, 1), atol=1e-6)


@drawn(10)
@given(size=st.sampled_from([3, 11]), length=st.sampled_from([1, 9]), batch=st.sampled_from([1, 3]), seed=SEEDS)
def test_the_code_of_a_decoded_kernel_is_the_code(size, length, batch, seed):
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(size**2, length))
    directions -= directions.mean(axis=0)  # of kernels that all sum to one
    basis, _ = np.linalg.qr(directions)
    basis, code = np.float32(basis[:, : min(length, size**2 - 1)]), rng.normal(size=(batch, length))
    code = jnp.float32(code[:, : basis.shape[1]])
    kernel = degradations.decode(code, jnp.asarray(basis))
    np.testing.assert_allclose(kernel.sum(axis=(1, 2)), 1, atol=1e-4)
    np.testing.assert_allclose(degradations.encode(kernel, jnp.asarray(basis)), code, atol=1e-5)


@drawn(10)
@given(shape=st.sampled_from([(9, 24), (24, 9), (17, 16)]), size=st.sampled_from([1, 3, 9]), seed=SEEDS)
def test_the_transfer_function_of_the_flipped_kernel_is_a_circular_blur(shape, size, seed):
    rng = np.random.default_rng(seed)
    x, kernel = rng.random((1, *shape, 2), np.float32), rng.normal(size=(1, size, size)).astype(np.float32)
    kernel *= np.sign(kernel.sum())  # blur refuses kernels without a positive sum
    transfer = ops.psf_to_otf(jnp.asarray(kernel[:, ::-1, ::-1]), shape)
    filtered = np.fft.ifft2(np.fft.fft2(x, axes=(1, 2)) * np.asarray(transfer)[..., None], axes=(1, 2))
    blurred, tolerance = ops.blur(jnp.asarray(x), jnp.asarray(kernel), "circular"), 2e-6 * np.abs(kernel).sum()
    np.testing.assert_allclose(filtered.real, blurred, atol=tolerance)
    np.testing.assert_allclose(filtered.imag, 0, atol=tolerance)


# Small sizes of every model; a model that is missing here fails the test.
_DAN = {
    "scale": st.integers(2, 4),
    "kernel_size": st.sampled_from([9, 11]),
    "code_length": st.integers(2, 5),
    "features": st.integers(1, 6),
    "blocks": st.integers(1, 3),
    "estimator_features": st.integers(1, 4),
    "estimator_blocks": st.integers(1, 2),
}
_FOUR = st.lists(st.integers(1, 5), min_size=4, max_size=4)
SIZES = {
    "danv1": _DAN | {"upsampler": st.sampled_from(["stages", "single"]), "skip": st.sampled_from(["none", "nearest"])},
    "danv2": _DAN | {"groups": st.integers(1, 2)},
    "dssr": {"scale": st.integers(2, 4), "features": st.integers(1, 6), "blocks": st.integers(1, 3)},
    "kernelnet": {"scale": st.integers(2, 4), "width": st.sampled_from([4, 8]), "refine_features": st.integers(1, 4)},
    "dcls": {
        "scale": st.integers(2, 4),
        "kernel_size": st.sampled_from([11, 21]),
        "features": st.sampled_from([4, 8]),
        "groups": st.integers(1, 2),
        "blocks": st.integers(1, 2),
        "latent_features": st.integers(2, 4),
        "kernel_softmax": st.booleans(),
    },
    "dasr": {
        "scale": st.integers(2, 4),
        "features": st.sampled_from([4, 8]),
        "code_features": st.sampled_from([4, 8]),
        "groups": st.integers(1, 2),
        "blocks": st.integers(1, 2),
        "encoder_features": st.lists(st.integers(2, 6), min_size=3, max_size=3),
    },
    "ikc": {
        "scale": st.integers(2, 4),
        "kernel_size": st.sampled_from([9, 11]),
        "code_length": st.integers(2, 5),
        "features": st.integers(2, 6),
        "blocks": st.integers(1, 2),
        "predictor_features": st.integers(2, 6),
        "corrector_features": st.integers(2, 6),
    },
    "kerneldan": {"scale": st.sampled_from([2, 4]), "features": st.sampled_from([4, 8]), "blocks": st.integers(1, 2)},
    "realdan": {
        "scale": st.integers(2, 4),
        "features": st.sampled_from([4, 8]),
        "blocks": st.integers(1, 2),
        "body": st.sampled_from(["edsr", "rrdb"]),
        "estimator_size": st.sampled_from(["small", "large"]),
    },
    "fixed_gaussian": {"scale": st.integers(2, 4)},
    "model_based": {"scale": st.integers(2, 4)},
    "usrnet": {"iterations": st.integers(1, 3), "features": _FOUR, "blocks": st.integers(1, 2)},
    "drunet": {"features": _FOUR, "blocks": st.integers(1, 2), "bias": st.booleans()},
    "dpir": {
        "denoiser": st.sampled_from(["drunet", "total_variation"]),
        "features": _FOUR,
        "blocks": st.integers(1, 2),
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_a_bundle_of_any_model_comes_back_bit_for_bit(name, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")

    @drawn(2)
    @given(sizes=st.fixed_dictionaries(SIZES[name]), seed=SEEDS)
    def check(sizes, seed):
        model, rng = {"name": name, **sizes}, np.random.default_rng(seed)
        shapes = jax.eval_shape(lambda: init_variables(build(**model), jax.random.key(0)))
        variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
        bundle = Bundle(jax.tree.map(np.asarray, variables), model, {"seed": seed})
        save_bundle(folder / "one.safetensors", bundle)
        loaded = load_bundle(folder / "one.safetensors")
        assert (loaded.model, loaded.metadata) == (bundle.model, bundle.metadata)
        found, wanted = (jax.tree_util.tree_leaves_with_path(one.variables) for one in (loaded, bundle))
        assert [path for path, _ in found] == [path for path, _ in wanted]
        for (path, one), (_, other) in zip(found, wanted):
            assert one.tobytes() == other.tobytes(), jax.tree_util.keystr(path)
        save_bundle(folder / "two.safetensors", loaded)
        assert (folder / "two.safetensors").read_bytes() == (folder / "one.safetensors").read_bytes()

    check()


# Sizes that are quick to compile, of every model whose images may be padded, without which the test fails, and of DCLS.
_TINY = {
    "danv1": {"scale": 2, "kernel_size": 9, "code_length": 3, "features": 4, "blocks": 1, "estimator_features": 3},
    "danv2": {"scale": 2, "kernel_size": 9, "code_length": 3, "features": 4, "blocks": 1, "groups": 1},
    "dssr": {"scale": 2, "features": 4, "blocks": 1},
    "dasr": {"scale": 2, "features": 4, "code_features": 4, "groups": 1, "blocks": 1, "encoder_features": [3, 4, 5]},
    "ikc": {"scale": 2, "kernel_size": 9, "code_length": 3, "features": 4, "blocks": 1, "iterations": 2}
    | {"predictor_features": 4, "corrector_features": 4},
    "dcls": {"scale": 2, "features": 4, "groups": 1, "blocks": 1, "latent_features": 2},
    "kerneldan": {"scale": 2, "features": 4, "blocks": 1, "iterations": 2},
    "realdan": {"scale": 2, "features": 4, "blocks": 1, "iterations": 2},
}


# tests/networks/test_region.py has these three at every scale, with their steps.
_ELSEWHERE = ("danv1", "danv2", "dssr")


@pytest.mark.parametrize(
    "name",
    [drilled(name) if name in _ELSEWHERE else name for name in MODELS if example_network(name, 2).takes_padding],
)
def test_an_image_is_the_same_alone_and_padded(name):
    model = {"name": name, **_TINY[name]}
    network, rng = build(**model), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))
    variables = jax.tree.map(lambda leaf: 0.1 * rng.normal(size=leaf.shape).astype(np.float32), shapes)
    alone = Model(network, variables)
    padded = alone.padded_to([(24, 32)])

    @drawn(2)
    @given(height=st.sampled_from([8, 17]), width=st.sampled_from([13, 32]), seed=SEEDS)
    def check(height, width, seed):
        lr = np.random.default_rng(seed).random((1, height, width, 3), np.float32)
        got, want = padded(lr), alone(lr)
        assert got.sr.shape == want.sr.shape == (1, 2 * height, 2 * width, 3)
        largest = np.abs(want.sr).max()
        np.testing.assert_allclose(got.sr, want.sr, atol=2e-5 * largest)
        if want.kernel is not None:
            np.testing.assert_allclose(got.kernel, want.kernel, atol=2e-5 * np.abs(want.kernel).max())

    check()


@pytest.mark.parametrize("name", MODELS)
def test_networks_stay_in_float32_where_jax_has_wider_types_and_strict_rules(name):
    network = build(**{"name": name, **_TINY[name]}) if name in _TINY else example_network(name, 2)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        variables = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables["params"])} <= {np.dtype(np.float32)}
