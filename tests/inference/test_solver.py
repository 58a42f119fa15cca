import jax
import jax.numpy as jnp
import numpy as np
import pytest

import blindsr_jax
from blindsr_jax import degradations, metrics, ops
from blindsr_jax.errors import DataError
from blindsr_jax.inference.loading import load
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.pipeline import pipeline
from blindsr_jax.inference.restore import restore_image, restore_steps
from blindsr_jax.inference.solver import Solver
from blindsr_jax.networks import build, init_variables
from blindsr_jax.ops.borders import wrap_smoothly

RNG = np.random.default_rng(0)


def _initialised(name, **sizes):
    network = build(name, **sizes)
    return network, jax.jit(lambda: init_variables(network, jax.random.key(0, impl="rbg")))()


@pytest.fixture(scope="module")
def solver():
    return Solver(*_initialised("usrnet", iterations=2, hyper_features=4, features=(4, 4, 4, 4), blocks=1))


@pytest.fixture(scope="module")
def estimator():
    return Model(*_initialised("kernelnet", scale=2, kernel_size=13, width=4, refine_features=4))


def _lr(height=12, width=14):
    return np.float32(RNG.uniform(size=(2, height, width, 3)))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_sampled_kernel_does_what_blur_and_bicubic_do(scale):
    x = np.float32(RNG.uniform(size=(1, 96, 96, 3)))
    kernel = RNG.uniform(size=(7, 7))
    kernel /= kernel.sum()
    want = degradations.apply_degradation(x, jnp.float32(kernel)[None], scale=scale)
    alone = degradations.bicubic_equivalent_kernel(kernel, scale)
    assert alone.shape[0] % 2 == 1
    np.testing.assert_allclose(alone.sum(), 1, rtol=1e-5)
    got = ops.s_fold_down(ops.blur(x, alone[None], "circular"), scale)
    inside = slice(6, -6)
    np.testing.assert_allclose(got[:, inside, inside], want[:, inside, inside], atol=2e-6)


def test_one_solver_for_all_scales(solver):
    for scale in (1, 2, 3):
        out = solver(_lr(), kernel=np.ones((3, 3)), scale=scale, sigma=0.01, trace=True)
        assert out.sr.shape == (2, 12 * scale, 14 * scale, 3)
        assert out.trace.sr.shape[0] == 2
        np.testing.assert_allclose(out.kernel, 1 / 9, rtol=1e-6)
    image = np.uint8(255 * _lr()[0])
    assert solver.restore(image, kernel=np.ones((3, 3)), scale=2).shape == (24, 28, 3)


def test_the_solver_that_needs_no_weights_sharpens(photo):
    kernel = np.asarray(degradations.isotropic_gaussian(1.6, 15))
    hr = np.float32(photo)[None] / 255
    lr = np.asarray(ops.s_fold_down(ops.blur(hr, kernel[None], "circular"), 2))
    lr8 = np.uint8(np.round(lr[0] * 255))
    restored = load("dpir-tv").restore(lr8, kernel=kernel, scale=2)
    plain = np.repeat(np.repeat(lr8, 2, axis=0), 2, axis=1)
    assert metrics.psnr(restored, photo, 2) > metrics.psnr(plain, photo, 2) + 1


def test_official_solvers_are_loaded_as_such(reference):
    tiny = load(reference / "networks" / "usrnet_tiny.pth")
    assert (type(tiny), tiny.parameters) == (Solver, 590_332)
    denoiser = load(reference / "networks" / "drunet_small.pth")
    assert type(denoiser.module).__name__ == "DPIR"
    assert denoiser(_lr()[:1], kernel=np.ones((3, 3)), scale=2, iterations=2).sr.shape == (1, 24, 28, 3)


def test_a_pipeline_is_a_model(solver, estimator):
    both = pipeline(estimator, solver).with_border("circular")
    lr = _lr()
    out = both(lr)
    found = estimator(lr).kernel
    np.testing.assert_allclose(out.kernel, found, rtol=1e-5)
    np.testing.assert_allclose(out.sr, solver(lr, kernel=found, scale=2).sr, atol=1e-5)
    given = np.eye(3)
    np.testing.assert_array_equal(both(lr, kernel=given).sr, solver(lr, kernel=given, scale=2).sr)
    assert both.parameters == solver.parameters + estimator.parameters
    noisy = both.with_sigma(0.1)
    np.testing.assert_allclose(noisy(lr).sr, solver(lr, kernel=found, scale=2, sigma=0.1).sr, atol=1e-5)
    assert noisy.fingerprint != both.fingerprint
    image = np.uint8(255 * lr[0])
    assert blindsr_jax.pipeline(estimator, solver).restore(image).shape == (24, 28, 3)


def test_fingerprints_tell_apart_what_restores_differently(solver, estimator):
    weightless = load("dpir-tv")
    longer = Solver(build("usrnet", iterations=3, hyper_features=4, features=(4, 4, 4, 4), blocks=1), solver.variables)
    prints = [model.fingerprint for model in (solver, longer, estimator, weightless)]
    assert len(set(prints)) == 4
    assert load("dpir-tv").fingerprint == weightless.fingerprint


def test_the_kernels_of_bicubic_models_are_converted(solver, model):
    lr, kernel = _lr(), np.asarray(degradations.isotropic_gaussian(1.2, 11))
    out = pipeline(model, solver).with_border("circular")(lr, kernel=kernel)
    np.testing.assert_allclose(out.kernel[0], kernel, rtol=1e-5)
    converted = degradations.bicubic_equivalent_kernel(kernel, 2)
    np.testing.assert_allclose(out.sr, solver(lr, kernel=converted, scale=2).sr, atol=1e-5)
    assert np.abs(out.sr - solver(lr, kernel=kernel, scale=2).sr).max() > 1e-3


def test_images_are_extended_until_they_wrap_smoothly():
    ramp = jnp.broadcast_to(jnp.linspace(0, 1, 20)[:, None, None], (1, 20, 18, 3))
    extended = np.asarray(wrap_smoothly(ramp, 12))
    assert extended.shape == (1, 32, 30, 3)
    np.testing.assert_array_equal(extended[:, :20, :18], ramp)
    around = np.concatenate([extended, extended[:, :1]], axis=1)
    assert np.abs(np.diff(around, axis=1)).max() < 0.15, "the step of 1 from end to beginning is gone"
    assert wrap_smoothly(ramp, 50).shape == (1, 70, 68, 3), "also where the image is small"


def test_photographs_are_not_taken_for_wrapping_ones(photo):
    """If the blur mirrors borders, a solver that assumes wrapping makes waves from the border inwards."""
    kernel = np.asarray(degradations.isotropic_gaussian(1.6, 15))
    tv = load("dpir-tv")
    lr = np.asarray(ops.s_fold_down(ops.blur(np.float32(photo)[None] / 255, kernel[None]), 2))
    scores = {}
    for border in ("reflect", "circular"):
        sr = tv.at_scale(2).with_border(border)(lr, kernel=kernel, trace=True)
        assert sr.trace.sr.shape[1:] == sr.sr.shape == (1, *photo.shape)
        scores[border] = metrics.psnr(np.uint8(np.round(np.clip(sr.sr[0], 0, 1) * 255)), photo, 2)
    assert scores["reflect"] > scores["circular"] + 1


def test_what_cannot_be_is_named(solver, estimator, model):
    lr = _lr()
    cases = [
        (lambda: solver(lr, kernel=np.ones((4, 4)), scale=2), "odd side"),
        (lambda: solver(lr, kernel=np.zeros((3, 3)), scale=2), "positive sum"),
        (lambda: solver(lr, kernel=-np.ones((3, 3)), scale=2), "positive sum"),
        (
            lambda: solver.restore(np.zeros((64, 64, 3)), kernel=np.ones((601, 601)), scale=4),
            "larger than the restored",
        ),
        (lambda: solver(lr, kernel=np.ones((25, 25)), scale=2), "25x25 kernel is larger than the restored image"),
        (lambda: solver(lr, kernel=np.ones((3, 3)), scale=5), "scales 1, 2, 3, 4, not 5"),
        (lambda: solver(lr, kernel=np.ones((3, 3)), scale=2, sigma=2.55), "divide levels by 255"),
        (lambda: solver(lr, kernel=np.ones((3, 3, 3)), scale=2), "3 kernels for 2 images"),
        (lambda: estimator(lr, iterations=2), "in one pass"),
        (lambda: estimator(lr, kernel=np.ones((3, 3))), "does not use a kernel"),
        (lambda: pipeline(solver, estimator), "no non-blind solver"),
        (lambda: pipeline(solver, solver), "estimates no kernel"),
        (lambda: restore_image(pipeline(estimator, solver), np.uint8(lr[0]), self_ensemble=True), "s-fold sampling"),
        (lambda: restore_steps(pipeline(model, solver), np.uint8(lr[0]), 3), "is not unfolded"),
    ]
    for call, message in cases:
        with pytest.raises(DataError, match=message):
            call()
