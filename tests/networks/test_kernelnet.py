import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import degradations, losses, ops
from blindsr_jax.errors import ConfigError
from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.kernelnet import GradientModule, luma_gradients
from blindsr_jax.types import Degraded, Estimate


def _small(scale=2, **sizes):
    network = build("kernelnet", scale=scale, width=6, refine_features=5, **sizes)
    return network, init_variables(network, jax.random.key(0, impl="rbg"))


def _lr(batch=2, height=24, width=31, seed=2):
    return jax.random.uniform(jax.random.key(seed), (batch, height, width, 3))


def _estimates(network, variables, lr):
    return jax.jit(lambda v, x: network.apply(v, x, method="estimates"))(variables, lr)


@pytest.mark.parametrize(("scale", "size", "lr_size"), [(2, 17, 9), (3, 23, 9), (4, 31, 9), (2, 21, 11), (4, 21, 7)])
def test_everything_found_on_the_way(scale, size, lr_size):
    network, variables = _small(scale, kernel_size=size)
    found = _estimates(network, variables, _lr())
    assert found.sharp.shape == (2, 24, 31, 2)
    assert found.kernel_lr.shape == (2, lr_size, lr_size)
    assert found.coarse.shape == found.refined.shape == (2, size, size)
    for kernels in found[1:]:
        assert kernels.min() >= 0
        np.testing.assert_allclose(kernels.sum(axis=(1, 2)), 1, rtol=1e-5)
    np.testing.assert_allclose(found.coarse, ops.self_convolve(found.kernel_lr, scale, size=size), atol=1e-6)


def test_output_of_all_models():
    network, variables = _small()
    found = _estimates(network, variables, _lr())
    out = network.apply(variables, _lr(), trace=True)
    assert out.sr is None and out.kernel_code is None
    np.testing.assert_allclose(out.kernel, found.refined, atol=1e-6)
    np.testing.assert_allclose(out.trace.kernel, jnp.stack([found.coarse, found.refined]), atol=1e-6)
    assert network.apply(variables, _lr()).trace is None
    for options in ({"kernel": found.refined}, {"iterations": 2}):
        with pytest.raises(TypeError, match="leave kernel and iterations out"):
            network.apply(variables, _lr(), **options)


def test_full_size():
    """By hand, for convolutions of size 9, 1, 3, 5, 1, 3 with 128 channels, then 3, 3, 1 with 64."""
    w, f = 128, 64
    gradient = (81 * 2 * w + w) + (w * w + w) + (9 * w * w + w) + (25 * w * w + w) + (w * w + w) + (9 * w * 2 + 2)
    refinement = (9 * f + f) + (9 * f * f + f) + (f + 1)
    variables = jax.eval_shape(lambda: init_variables(build("kernelnet", scale=4), jax.random.key(0)))
    sizes = {name: sum(np.prod(x.shape) for x in jax.tree.leaves(part)) for name, part in variables["params"].items()}
    assert sizes == {"gradient_module": gradient, "refinement": refinement}
    assert (gradient, refinement) == (613_506, 37_633)
    assert not variables["constants"]


def test_sizes_that_are_none():
    assert build("kernelnet", scale=3).kernel_size == 23
    for sizes, message in (
        ({"scale": 1}, "scale"),
        ({"scale": 2, "kernel_size": 20}, "odd"),
        ({"scale": 2, "lam": 0.0}, "lam"),
        ({"scale": 2, "lam": float("nan")}, "lam"),
        ({"scale": 2, "width": 0}, "width"),
        ({"scale": 2, "width": 3}, "at least 4"),
        ({"scale": 2, "depth": 3}, "depth"),
    ):
        with pytest.raises(ConfigError, match=message):
            build("kernelnet", **sizes)


def test_gradients_are_differences_of_the_luma():
    grey = np.asarray(_lr(1)[..., :1])
    got = np.asarray(luma_gradients(jnp.asarray(grey).repeat(3, axis=-1)))
    np.testing.assert_allclose(got[:, :, :-1, 0], np.diff(grey[..., 0], axis=2), atol=1e-6)
    np.testing.assert_allclose(got[:, :-1, :, 1], np.diff(grey[..., 0], axis=1), atol=1e-6)
    assert np.all(got[:, :, -1, 0] == 0) and np.all(got[:, -1, :, 1] == 0)


def test_the_first_stage_has_its_targets_where_its_input_is():
    """An image without blur equals its target: both sides use bicubic downsampling, without a shift between them."""
    network, variables = _small(3)
    hr = _lr(1, 36, 45)
    targets = network.apply(variables, hr, method="gradient_targets")
    lr = degradations.apply_degradation(hr, degradations.dirac(5)[None], scale=3, downsample="bicubic")
    np.testing.assert_allclose(targets, luma_gradients(lr), atol=1e-6)
    alone = network.apply(variables, lr, method="sharp_gradients")
    module = GradientModule(6).apply({"params": variables["params"]["gradient_module"]}, luma_gradients(lr))
    np.testing.assert_allclose(alone, module, atol=1e-6)
    np.testing.assert_allclose(alone, _estimates(network, variables, lr).sharp, atol=1e-6)


@pytest.mark.parametrize(("scale", "widening"), [(2, 1.0), (3, 3 / 8**0.5), (4, 1.0)])
def test_true_gradients_give_the_gaussian_back_as_the_paper_says(photo, scale, widening):
    """A blur of width σ/s in the LR image becomes one of width σ (0.94 σ at ×3) and keeps its orientation."""
    network = build("kernelnet", scale=scale, lam=1e-7)
    widths = 0.8 * scale, 0.55 * scale
    lr_blur = degradations.anisotropic_gaussian(*(w / scale for w in widths), 0.5, 9)[None]
    sharp = luma_gradients(jnp.float32(photo)[None] / 255)
    blurred = ops.blur(sharp, lr_blur, "circular")
    kernel_lr = ops.kernel_least_squares(sharp, blurred, 1e-7 * 96 * 128, network.lr_kernel_size)
    coarse = ops.self_convolve(kernel_lr, scale, size=network.kernel_size)
    truth = degradations.anisotropic_gaussian(*(w / widening for w in widths), 0.5, network.kernel_size)
    assert jnp.abs(coarse[0] - truth).sum() < 0.02


def test_training_steps_and_targets_are_those_of_both_stages():
    network, variables = _small()
    (step,) = network.apply(variables, _lr(), gradient="last", method="training_steps")
    found = _estimates(network, variables, _lr())
    np.testing.assert_allclose(step.kernel, found.refined, atol=1e-6)
    np.testing.assert_allclose(step.gradients, found.sharp, atol=1e-6)
    truth, hr = degradations.isotropic_gaussian(jnp.asarray([1.0, 2.0]), 17), _lr(2, 48, 62)
    targets = network.apply(variables, hr, Degraded(_lr(), truth), method="targets")
    np.testing.assert_array_equal(targets.kernel, truth)
    np.testing.assert_array_equal(targets.gradients, network.apply(variables, hr, method="gradient_targets"))


@pytest.mark.parametrize("image", ["noise", "flat", "one step"])
def test_gradient_reaches_all_parameters_and_is_finite(image):
    network, variables = _small(kernel_size=9)
    lr = {
        "noise": _lr(),
        "flat": jnp.full((2, 24, 31, 3), 0.3),
        "one step": jnp.full((2, 24, 31, 3), 0.3).at[0, 5:].set(0.3 + 1 / 255),
    }[image]
    truth = degradations.isotropic_gaussian(jnp.asarray([1.5]), 9)

    def error(params):
        return jnp.abs(network.apply({"params": params}, lr, method="estimates").refined - truth).sum()

    value, gradients = jax.jit(jax.value_and_grad(error))(variables["params"])
    assert np.isfinite(value)
    leaves = jax.tree_util.tree_leaves_with_path(gradients)
    assert all(np.isfinite(leaf).all() for _, leaf in leaves)
    if image == "noise":
        idle = [jax.tree_util.keystr(path) for path, leaf in leaves if not np.any(leaf)]
        assert not idle, f"no gradient for {idle}"


def test_a_flat_image_still_gives_a_kernel():
    network, variables = _small()
    found = _estimates(network, variables, jnp.full((1, 24, 24, 3), 0.5))
    assert np.all(found.coarse == 0)  # a flat image determines no kernel
    np.testing.assert_allclose(found.refined.sum(), 1, rtol=1e-5)


def test_images_smaller_than_the_window():
    network, variables = _small(kernel_size=21)
    found = _estimates(network, variables, _lr(1, 5, 14))
    np.testing.assert_allclose(found.refined.sum(), 1, rtol=1e-5)
    assert found.kernel_lr.shape == (1, 11, 11)


def test_regularisation_counts_for_each_pixel():
    """|F|² of white gradients grows with the number of pixels, so λ must grow equally to keep its weight."""
    network, variables = _small(lam=0.1)
    lr = _lr(1, 24, 30)
    found = _estimates(network, variables, lr)
    by_hand = ops.kernel_least_squares(found.sharp, luma_gradients(lr), 0.1 * 24 * 30, 9)
    np.testing.assert_allclose(found.kernel_lr, by_hand, atol=1e-6)


def test_the_second_stage_weighs_both_kernels():
    """By hand: a fifth of the coarse and a tenth of the refined kernel is shifted by one pixel."""
    dirac = degradations.dirac(5)[None]
    astray = jnp.roll(dirac, 1, axis=2)
    step = Estimate(sr=None, kernel=0.9 * dirac + 0.1 * astray, coarse=0.8 * dirac + 0.2 * astray)
    truth = Estimate(sr=None, kernel=dirac)
    loss, parts = losses.refined_kernel_supervision([step], truth, coarse_weight=0.5)
    np.testing.assert_allclose([loss, parts["loss_kernel"], parts["loss_coarse"]], [0.4, 0.2, 0.4], rtol=1e-6)
    np.testing.assert_allclose(losses.refined_kernel_supervision([step], truth)[0], 0.2, rtol=1e-6)


def test_an_untrained_gradient_module_passes_gradients_on():
    lr = 0.5 + 0.1 * (_lr(1, 40, 40) - 0.5)
    network = build("kernelnet", scale=2, width=16)
    found = _estimates(network, init_variables(network, jax.random.key(1, impl="rbg")), lr)
    given = luma_gradients(lr)
    assert jnp.abs(found.sharp - given).mean() < 0.5 * jnp.abs(given).mean()
    assert found.kernel_lr[0].argmax() == 81 // 2
