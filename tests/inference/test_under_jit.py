"""Models below a caller's own jit, vmap and grad: the same numbers, traced arguments pass, known ones are checked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import blindsr_jax
from blindsr_jax.errors import BlindSRError
from blindsr_jax.networks import build, init_variables

KERNEL = np.pad(np.full((3, 3), 1 / 9, np.float32), 1)


def _lr(batch=2):
    return np.random.default_rng(0).random((batch, 12, 14, 3), np.float32)


@pytest.fixture(scope="module")
def solver():
    network = build("usrnet", iterations=1, hyper_features=4, features=(4, 4, 4, 4), blocks=1)
    return blindsr_jax.Solver(network, jax.jit(lambda key: init_variables(network, key))(jax.random.key(0, impl="rbg")))


def _same(got, want):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_a_model_below_jit(model):
    """The gradients below are of a model that is told one kernel for all images."""
    code = np.asarray(model(_lr()).kernel_code)
    for given in ({}, {"kernel": np.stack([KERNEL] * 2)}, {"kernel_code": code}):
        _same(jax.jit(model)(_lr(), **given), model(_lr(), **given))


def test_a_model_below_jit_is_not_padded(model):
    _same(jax.jit(model.padded_to([(16, 16)]))(_lr()), model(_lr()))


def test_a_wide_traced_kernel_is_cropped(model):
    wide = np.pad(KERNEL, 8)
    _same(jax.jit(lambda lr, kernel: model(lr, kernel=kernel).sr)(_lr(), wide), model(_lr(), kernel=wide).sr)


def test_vmap_and_grad_of_a_model(model):
    lr = _lr()
    each = jax.vmap(lambda one: model(one[None]).sr[0])(lr)
    np.testing.assert_allclose(each, model(lr).sr, atol=2e-5)

    def brightness(lr, kernel):
        return model(lr, kernel=kernel).sr.mean()

    by_image, by_kernel = jax.jit(jax.grad(brightness, (0, 1)))(lr, KERNEL)
    step = 1e-2 * np.sign(by_image)
    slope = (brightness(lr + step, KERNEL) - brightness(lr - step, KERNEL)) / 2e-2
    assert np.abs(by_image).sum() == pytest.approx(float(slope), rel=0.05)
    assert np.abs(by_kernel).max() > 0


def test_gradient_by_the_weights(model):
    def brightness(variables):
        return blindsr_jax.Model(model.module, variables)(_lr()).sr.mean()

    gradient = jax.jit(jax.grad(brightness))(model.variables)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient["params"]))


def test_a_solver_below_jit(solver):
    def restore(lr, kernel, sigma):
        return solver(lr, kernel=kernel, scale=2, sigma=sigma).sr

    for sigma in (np.float32(0.1), np.float32([0.0, 0.2])):
        np.testing.assert_allclose(jax.jit(restore)(_lr(), KERNEL, sigma), restore(_lr(), KERNEL, sigma), atol=2e-5)
    assert np.abs(restore(_lr(), KERNEL, np.float32([0.0, 0.2]))[1] - restore(_lr(), KERNEL, 0.2)[1]).max() < 2e-5
    for gradient in jax.jit(jax.grad(lambda *given: restore(*given).sum(), (0, 1, 2)))(_lr(), KERNEL, np.float32(0.1)):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    with pytest.raises(BlindSRError, match="restores at scales 1, 2, 3, 4"):
        jax.jit(lambda scale: solver(_lr(), kernel=KERNEL, scale=scale).sr)(2)


def test_a_pipeline_below_jit(model, solver):
    joined = blindsr_jax.pipeline(model, solver, sigma=0.02)
    _same(jax.jit(joined)(_lr()), joined(_lr()))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, np.float64])
def test_images_of_other_precisions_are_computed_in_float32(model, dtype):
    lr = _lr().astype(dtype)
    out = model(lr)
    assert out.sr.dtype == np.float32
    np.testing.assert_array_equal(out.sr, model(np.float32(lr)).sr)


@pytest.mark.parametrize(
    ("lr", "given", "message"),
    [
        (np.uint8(255 * _lr()), {}, "uint8: divide"),
        (255 * _lr(), {}, r"in \[0, 1\]"),
        (2 * _lr() - 1, {}, r"in \[0, 1\]"),
        (jnp.asarray(_lr()).at[0, 0, 0, 0].set(jnp.nan), {}, "finite images"),
        (np.full_like(_lr(), np.inf), {}, "finite images"),
        (_lr(0), {}, r"\[B, H, W, 3\]"),
        (_lr(), {"kernel": np.zeros((3, 3))}, "positive sum"),
        (_lr(), {"kernel": jnp.full((3, 3), jnp.nan)}, "finite"),
        (_lr(), {"kernel_code": np.full((1, 10), np.nan)}, "finite"),
        (_lr(), {"kernel_code": np.zeros((1, 9))}, "have shape"),
    ],
)
def test_known_values_are_checked(model, lr, given, message):
    with pytest.raises(BlindSRError, match=message):
        model(lr, **given)


def test_noise_that_was_not_clipped_is_fine(model):
    assert np.isfinite(model(_lr() + np.float32(0.3)).sr).all()


@pytest.mark.parametrize("sigma", [-0.1, 25.0, np.nan, np.zeros(3)])
def test_a_noise_level_is_checked(solver, sigma):
    with pytest.raises(BlindSRError, match="sigma is"):
        solver(_lr(), kernel=KERNEL, scale=2, sigma=sigma)


def test_shapes_are_checked_below_jit(model):
    with pytest.raises(BlindSRError, match="odd side"):
        jax.jit(lambda kernel: model(_lr(), kernel=kernel).sr)(np.ones((4, 4)))
    with pytest.raises(BlindSRError, match="window"):
        jax.jit(lambda lr: blindsr_jax.load("kernelnet-x2").with_kernel_window(16)(lr).kernel)(_lr())
