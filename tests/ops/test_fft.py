import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.sparse.linalg
from jax.sharding import PartitionSpec

from blindsr_jax import ops
from blindsr_jax.ops.fft import per_shard
from blindsr_jax.training.sharding import data_mesh, split

SCALES = [1, 2, 3, 4]
# Compiled as a whole: operation by operation takes several times as long.
_solution = jax.jit(ops.data_solution, static_argnums=4)
_blur = jax.jit(ops.blur, static_argnums=2)


def _random(*shape, seed=0):
    return jax.random.uniform(jax.random.key(seed), shape)


def _kernel(batch, size, seed=1):
    kernel = _random(batch, size, size, seed=seed)
    return kernel / kernel.sum(axis=(1, 2), keepdims=True)


def _problem(s, batch=2, height=5, width=7, size=5):
    lr = _random(batch, height, width, 3, seed=2)
    return _random(batch, s * height, s * width, 3), lr, _kernel(batch, size)


def _degrade(x, kernel, s):
    """Degrade one channel in double precision with SciPy."""
    return scipy.ndimage.correlate(x, kernel, mode="wrap")[::s, ::s]


def _adjoint(y, kernel, s):
    x = np.zeros((s * y.shape[0], s * y.shape[1]))
    x[::s, ::s] = y
    return scipy.ndimage.correlate(x, kernel[::-1, ::-1], mode="wrap")


def _conjugate_gradients(x, lr, kernel, alpha, s):
    """Minimise for one channel without any Fourier transform."""
    x, lr, kernel = np.float64(x), np.float64(lr), np.float64(kernel)

    def normal(z):
        z = z.reshape(x.shape)
        return (_adjoint(_degrade(z, kernel, s), kernel, s) + alpha * z).ravel()

    operator = scipy.sparse.linalg.LinearOperator((x.size, x.size), normal, dtype=np.float64)
    right = (_adjoint(lr, kernel, s) + alpha * x).ravel()
    z, failed = scipy.sparse.linalg.cg(operator, right, x0=x.ravel(), rtol=1e-12, maxiter=5000)
    assert not failed
    return z.reshape(x.shape)


@pytest.mark.parametrize("size", [3, 4, 5])
def test_otf_convolves_about_the_central_pixel(size):
    x, psf = _random(9, 12), _random(size, size, seed=1)
    got = jnp.fft.ifft2(jnp.fft.fft2(x) * ops.psf_to_otf(psf, x.shape)).real
    want = scipy.ndimage.convolve(np.float64(x), np.float64(psf), mode="wrap")
    np.testing.assert_allclose(got, want, atol=2e-6)


def test_otf_of_the_flipped_kernel_is_circular_blur():
    x, kernel = _random(2, 9, 12, 1), _kernel(2, 5)
    otf = ops.psf_to_otf(kernel[:, ::-1, ::-1], (9, 12))
    assert otf.shape == (2, 9, 12)
    got = jnp.fft.ifft2(jnp.fft.fft2(x[..., 0]) * otf).real
    np.testing.assert_allclose(got, _blur(x, kernel, "circular")[..., 0], atol=1e-6)


@pytest.mark.parametrize("alpha", [0.01, 1.0])
@pytest.mark.parametrize("s", SCALES)
def test_solution_equals_conjugate_gradients(s, alpha):
    x, lr, kernel = _problem(s)
    got = _solution(x, lr, kernel, alpha, s)
    for b, c in [(0, 0), (1, 2)]:
        want = _conjugate_gradients(x[b, ..., c], lr[b, ..., c], kernel[b], alpha, s)
        np.testing.assert_allclose(got[b, ..., c], want, atol=2e-6)


def test_solution_is_precise_with_a_weak_prior():
    """DPIR's first steps use such a small alpha, and dividing by it would leave few digits."""
    x, lr, kernel = _problem(2)
    got = _solution(x, lr, kernel, 6e-6, 2)
    want = _conjugate_gradients(x[0, ..., 0], lr[0, ..., 0], kernel[0], 6e-6, 2)
    np.testing.assert_allclose(got[0, ..., 0], want, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("s", SCALES)
def test_solution_solves_the_normal_equations(s):
    """Aᵀ(Az − lr) + α(z − x) = 0, where A is the documented blur and sampling."""
    x, lr, kernel = _problem(s)
    alpha = 0.05
    z = _solution(x, lr, kernel, alpha, s)
    residual = ops.s_fold_down(_blur(z, kernel, "circular"), s) - lr
    adjoint = _blur(ops.s_fold_up(residual, s), kernel[:, ::-1, ::-1], "circular")
    np.testing.assert_allclose(adjoint + alpha * (z - x), 0, atol=1e-6)


def test_alpha_for_each_image_and_one_kernel_for_all():
    x, lr, kernel = _problem(2)
    got = _solution(x, lr, kernel[:1], jnp.array([0.01, 0.3]), 2)
    for b, alpha in enumerate([0.01, 0.3]):
        alone = _solution(x[b : b + 1], lr[b : b + 1], kernel[:1], alpha, 2)
        np.testing.assert_allclose(got[b : b + 1], alone, atol=1e-6)


def test_a_strong_prior_stays_and_a_true_image_is_a_fixed_point():
    x, lr, kernel = _problem(3)
    np.testing.assert_allclose(_solution(x, lr, kernel, 1e6, 3), x, atol=1e-5)
    true_lr = ops.s_fold_down(_blur(x, kernel, "circular"), 3)
    np.testing.assert_allclose(_solution(x, true_lr, kernel, 0.01, 3), x, atol=2e-5)


@functools.partial(jax.jit, static_argnums=4)
def _gradients(x, lr, kernel, alpha, s):
    def energy(*arrays):
        return jnp.square(ops.data_solution(*arrays, s)).sum()

    return jax.grad(energy, argnums=(0, 1, 2, 3))(x, lr, kernel, alpha)


@pytest.mark.parametrize("s", [1, 3])
@pytest.mark.parametrize("image", ["zero", "constant", "random"])
@pytest.mark.parametrize("kernel", ["dirac", "box", "random"])
def test_gradients_are_finite(s, image, kernel):
    x, lr, random_kernel = _problem(s)
    if image != "random":
        x, lr = jnp.full_like(x, 0.5 * (image == "constant")), jnp.full_like(lr, 0.5 * (image == "constant"))
    kernels = {
        "dirac": jnp.zeros((2, 5, 5)).at[:, 2, 2].set(1.0),
        "box": jnp.full((2, 5, 5), 1 / 25),
        "random": random_kernel,
    }

    for gradient in _gradients(x, lr, kernels[kernel], jnp.array([1e-6, 0.1]), s):
        assert jnp.isfinite(gradient).all()


def test_gradients_are_right():
    x, lr, kernel = _problem(2, batch=1)
    weights = _random(*x.shape, seed=7)

    @jax.jit
    def projection(*arrays):
        return jnp.vdot(_solution(*arrays, 2), weights)

    arguments = (x, lr, kernel, jnp.array([0.1]))
    for i, gradient in enumerate(jax.jit(jax.grad(projection, argnums=(0, 1, 2, 3)))(*arguments)):
        direction = _random(*gradient.shape, seed=8) * 1e-2
        ahead, behind = (
            projection(*[a + sign * direction if j == i else a for j, a in enumerate(arguments)]) for sign in (1, -1)
        )
        np.testing.assert_allclose((ahead - behind) / 2, jnp.vdot(gradient, direction), rtol=1e-2)


def test_golden(reference):
    golden = np.load(reference / "nonblind.npz")
    for s in (2, 3, 4):
        kernel = golden[f"kernel_x{s}"][:, ::-1, ::-1]  # the authors' kernels are convolution kernels
        lr = golden[f"lr_x{s}"]
        nearest = lr.repeat(s, axis=1).repeat(s, axis=2)
        got = _solution(nearest, lr, kernel, 0.02, s)
        np.testing.assert_allclose(got, golden[f"data_solution_alpha0.02_x{s}"], atol=2e-6)


def test_no_device_waits_for_another():
    """With a sharded batch, the compiled solution and its gradient contain no collective."""
    mesh = data_mesh()
    assert mesh.devices.size == 4
    arrays = (*_problem(2, batch=4), jnp.full(4, 0.1))
    on_devices = jax.device_put(arrays, split(mesh))
    solve = per_shard(lambda *given: _solution(*given, 2), mesh)

    def gradients(*given):
        value, pullback = jax.vjp(solve, *given)
        return value, pullback(value)

    program = jax.jit(gradients).lower(*on_devices).compile()
    assert not re.findall(r"all-gather|all-reduce|reduce-scatter|collective-permute|all-to-all", program.as_text())
    value, _ = program(*on_devices)
    assert value.sharding.spec == PartitionSpec("data")
    np.testing.assert_allclose(value, _solution(*arrays, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("x_shape", "kernel_shape", "message"),
    [
        ((1, 8, 9, 3), (1, 3, 3), "2 times larger"),
        ((1, 8, 8, 3), (1, 4, 4), "odd"),
        ((1, 8, 8, 3), (3, 3), "odd"),
        ((1, 8, 8, 3), (2, 3, 3), "2 kernels for 1"),
        ((1, 8, 8, 3), (1, 9, 9), "larger than"),
    ],
)
def test_bad_sizes_are_named(x_shape, kernel_shape, message):
    with pytest.raises(ValueError, match=message):
        ops.data_solution(jnp.zeros(x_shape), jnp.zeros((1, 4, 4, 3)), jnp.ones(kernel_shape), 0.1, 2)


def test_constrained_least_squares_is_the_dense_solution():
    """With one unknown per pixel; the kernel and the filters are asymmetric, so that a flip would be noticed."""
    height, width = 6, 7
    rng = np.random.default_rng(4)
    x, kernel = rng.normal(size=(2, height, width, 2)), rng.random((2, 3, 3)) + np.eye(3)[1, :, None] * np.eye(3)[1]
    kernel /= kernel.sum(axis=(1, 2), keepdims=True)
    smoothness = rng.normal(size=(2, 3, 3, 2))
    got = jax.jit(ops.constrained_least_squares)(*map(jnp.float32, (x, kernel, smoothness)))

    def matrix(weights):
        """Of the circular correlation with the weights."""
        return sum(
            weights[i, j]
            * np.stack(
                [
                    np.roll(one.reshape(height, width), (1 - i, 1 - j), axis=(0, 1)).ravel()
                    for one in np.eye(height * width)
                ],
                axis=1,
            )
            for i in range(3)
            for j in range(3)
        )

    for b in range(2):
        for c in range(2):
            blur, rough = matrix(kernel[b]), matrix(smoothness[b, ..., c])
            want = np.linalg.solve(blur.T @ blur + rough.T @ rough, blur.T @ x[b, ..., c].ravel())
            np.testing.assert_allclose(got[b, ..., c].ravel(), want, atol=2e-5 * np.abs(want).max())
