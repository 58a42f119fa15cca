import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import metrics, ops
from blindsr_jax.degradations import isotropic_gaussian
from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.dpir import DPIR, half_quadratic_splitting, initial_image, noise_schedule
from tests.conftest import drilled

# The authors' eight orientations in NumPy, and their inverses.
TURNS = [
    (lambda x: x, lambda x: x),
    (lambda x: np.flipud(np.rot90(x)), lambda x: np.flipud(np.rot90(x))),
    (np.flipud, np.flipud),
    (lambda x: np.rot90(x, 3), np.rot90),
    (lambda x: np.flipud(np.rot90(x, 2)), lambda x: np.flipud(np.rot90(x, 2))),
    (np.rot90, lambda x: np.rot90(x, 3)),
    (lambda x: np.rot90(x, 2), lambda x: np.rot90(x, 2)),
    (lambda x: np.flipud(np.rot90(x, 3)), lambda x: np.flipud(np.rot90(x, 3))),
]


def _kernel(size=5):
    kernel = jax.random.uniform(jax.random.key(3), (1, size, size))
    return kernel / kernel.sum()


def _lr(batch=1, height=6, width=8):
    return jax.random.uniform(jax.random.key(2), (batch, height, width, 3))


def _drift(x, level):
    """Move the image down a little and right by less, instead of denoising, so that all orientations differ."""
    down, right = jnp.roll(x, 1, axis=1), jnp.roll(x, 1, axis=2)
    return x + jnp.reshape(level, (-1, 1, 1, 1)) * (0.6 * (down - x) + 0.3 * (right - x))


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_every_step_is_the_authors(scale):
    """Ten explicit steps with the authors' orientations: 0 to 7, then 0 and 1 again."""
    options = {"scale": scale, "iterations": 10, "trace": True}
    _, steps = jax.jit(lambda lr, kernel: half_quadratic_splitting(lr, kernel, _drift, **options))(_lr(), _kernel())
    solution, drift = jax.jit(ops.data_solution, static_argnums=4), jax.jit(_drift)
    rho, level = noise_schedule(10, sigma=0.0, last=scale / 255)
    x = initial_image(_lr(), scale)
    for i in range(10):
        x = solution(x, _lr(), _kernel(), rho[i], scale)
        turn, turn_back = TURNS[i % 8]
        turned = jnp.asarray(turn(np.asarray(x[0])))[None]
        x = jnp.asarray(turn_back(np.asarray(drift(turned, level[i])[0])))[None]
        np.testing.assert_allclose(steps[i], x, atol=5e-5)


def test_start_lies_on_the_grid_of_the_sampler():
    """A smooth image, sampled at the upper left of each block, is restored without a shift."""
    rows, columns = np.mgrid[0:48, 0:60] / 12
    hr = jnp.float32(0.5 + 0.3 * np.sin(rows) * np.cos(columns))[None, :, :, None]
    for scale in (2, 3, 4):
        start = initial_image(ops.s_fold_down(hr, scale), scale)
        np.testing.assert_allclose(start[:, 8:-8, 8:-8], hr[:, 8:-8, 8:-8], atol=0.01)


@pytest.mark.parametrize(("scale", "noise"), [(2, 0.03), (4, 0.0), drilled(2, 0.0), drilled(4, 0.03)])
def test_total_variation_restores_better_than_interpolation(photo, scale, noise):
    kernel = isotropic_gaussian(0.6 * scale, 15)[None]
    hr = jnp.float32(photo)[None] / 255
    lr = ops.s_fold_down(ops.blur(hr, kernel, "circular"), scale)
    lr = ops.round_to_8bit(lr + noise * jax.random.normal(jax.random.key(0), lr.shape))
    out = _solve(build("dpir", denoiser="total_variation"), lr, kernel, scale, noise)
    bicubic = initial_image(lr, scale)
    gain = np.subtract(*[metrics.psnr(_uint8(x), photo, border=scale) for x in (out, bicubic)])
    assert gain > (0.2 if noise else 0.4)


def _solve(model, lr, kernel, scale, sigma):
    return jax.jit(lambda lr, kernel: model.apply({}, lr, kernel=kernel, scale=scale, sigma=sigma).sr)(lr, kernel)


def _uint8(x):
    return np.uint8(ops.round_to_8bit(x)[0] * 255 + 0.5)


def test_around_a_network():
    """The network's parameters are stored under ``denoiser``, and the loop calls it like any function."""
    model = build("dpir", features=[4, 4, 6, 6], blocks=1, iterations=3)
    variables = init_variables(model, jax.random.key(0, impl="rbg"))
    denoiser = build("drunet", features=[4, 4, 6, 6], blocks=1)
    assert set(variables["params"]) == {"denoiser"}
    weights = {"params": variables["params"]["denoiser"]}
    out = jax.jit(lambda v, lr: model.apply(v, lr, kernel=_kernel(), scale=2, trace=True))(variables, _lr(2))
    options = {"scale": 2, "iterations": 3, "trace": True}
    want, steps = jax.jit(
        lambda lr: half_quadratic_splitting(lr, _kernel(), lambda x, s: denoiser.apply(weights, x, s), **options)
    )(_lr(2))
    np.testing.assert_allclose(out.sr, want, atol=1e-5)
    np.testing.assert_allclose(out.trace.sr, steps, atol=1e-5)
    assert out.kernel.shape == (2, 5, 5)


def test_noise_level_of_each_image():
    sigma = jnp.array([0.0, 0.1])
    model = DPIR(ops.total_variation_denoise, iterations=4)
    together = _solve(model, _lr(2), _kernel(), 2, sigma)
    np.testing.assert_allclose(together[1:], _solve(model, _lr(2)[1:], _kernel(), 2, 0.1), atol=1e-5)
    rho, level = noise_schedule(4, sigma=sigma, last=jnp.maximum(sigma, 2 / 255))
    np.testing.assert_allclose(level[-1], [2 / 255, 0.1], rtol=1e-6)
    np.testing.assert_allclose(rho[-1], [0.23 * (0.255 / 2) ** 2, 0.23], rtol=1e-5)
