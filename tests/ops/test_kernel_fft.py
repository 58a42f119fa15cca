import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from blindsr_jax import degradations, ops

# Compiled as a whole: operation by operation takes several times as long.
_least_squares = jax.jit(ops.kernel_least_squares, static_argnums=3, static_argnames="normalize")
_blur = jax.jit(ops.blur, static_argnums=2)


def _normal(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def _asymmetric(size=5):
    """All weights differ, so that the tests notice any flip, rotation or transposition."""
    weights = np.random.default_rng(3).permutation(np.arange(1.0, size * size + 1)).reshape(1, size, size)
    return jnp.asarray(weights / weights.sum(), jnp.float32)


def _dense_solution(sharp, blurred, lam):
    """Solve for a kernel [H, W] as large as the image, with one unknown per shift of the sharp field."""
    height, width, _ = sharp.shape
    shifted = [np.roll(sharp, (-i, -j), axis=(0, 1)).ravel() for i in range(height) for j in range(width)]
    matrix = np.stack(shifted, axis=1)
    normal = matrix.T @ matrix + lam * np.eye(height * width)
    return np.linalg.solve(normal, matrix.T @ blurred.ravel()).reshape(height, width)


@pytest.mark.parametrize(("height", "width", "size"), [(6, 7, 5), (8, 5, 5), (7, 7, 7)])
def test_equals_a_dense_least_squares_solve(height, width, size):
    sharp, blurred = _normal(2, height, width, 2), _normal(2, height, width, 2, seed=1)
    got = _least_squares(sharp, blurred, 0.7, size, normalize=False)
    for b in range(2):
        whole = _dense_solution(np.float64(sharp[b]), np.float64(blurred[b]), 0.7)
        window = np.roll(whole, (size // 2, size // 2), axis=(0, 1))[:size, :size]
        np.testing.assert_allclose(got[b], window, atol=2e-6)
    clipped = np.maximum(np.float64(got), 0)
    normalised = _least_squares(sharp, blurred, 0.7, size)
    np.testing.assert_allclose(normalised, clipped / clipped.sum(axis=(1, 2), keepdims=True), atol=1e-6)


@pytest.mark.parametrize("shape", [(24, 31), (32, 20)])
def test_finds_the_kernel_that_blur_applied(shape):
    sharp, kernel = _normal(1, *shape, 2), _asymmetric()
    blurred = _blur(sharp, kernel, "circular")
    got = _least_squares(sharp, blurred, 1e-4, 9)
    np.testing.assert_allclose(got, jnp.pad(kernel, ((0, 0), (2, 2), (2, 2))), atol=1e-5)


def test_each_image_has_its_own_kernel_and_all_channels_count():
    sharp = _normal(2, 16, 16, 2).at[..., 1].set(0.0)  # the second channel carries no information
    kernels = jnp.concatenate([_asymmetric(3), _asymmetric(3)[:, ::-1]])
    blurred = _blur(sharp, kernels, "circular")
    for channels in (sharp, sharp[..., ::-1]):
        other = blurred if channels is sharp else blurred[..., ::-1]
        np.testing.assert_allclose(_least_squares(channels, other, 1e-4, 3), kernels, atol=1e-5)


def test_more_regularisation_is_a_smaller_kernel():
    sharp, blurred = _normal(1, 12, 12, 2), _normal(1, 12, 12, 2, seed=1)
    norms = [
        float(jnp.square(_least_squares(sharp, blurred, lam, 11, normalize=False)).sum()) for lam in (1e-2, 1e2, 1e4)
    ]
    assert norms[0] > norms[1] > norms[2] > 0


@pytest.mark.parametrize("field", ["flat", "sharp is flat", "blurred is flat", "of one frequency"])
def test_gradients_are_finite_everywhere(field):
    wave = jnp.broadcast_to(jnp.sin(jnp.arange(16.0) * jnp.pi / 4)[:, None, None], (1, 16, 16, 2))
    flat = jnp.zeros((1, 16, 16, 2))
    sharp, blurred = {
        "flat": (flat, flat),
        "sharp is flat": (flat, wave),
        "blurred is flat": (wave, flat),
        "of one frequency": (wave, wave),
    }[field]

    def error(sharp, blurred):
        kernel = ops.self_convolve(_least_squares(sharp, blurred, 1e-3, 5), 2)
        return jnp.abs(kernel - _asymmetric()).sum()

    value, gradients = jax.jit(jax.value_and_grad(error, argnums=(0, 1)))(sharp, blurred)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradients)
    if field == "flat":
        assert np.all(_least_squares(sharp, blurred, 1e-3, 5) == 0)


def test_gradient_agrees_with_differences():
    sharp, direction = _normal(1, 12, 10, 2), _normal(1, 12, 10, 2, seed=1)
    blurred = _blur(sharp, _asymmetric(3), "circular") + 0.1 * _normal(1, 12, 10, 2, seed=2)

    @jax.jit
    def score(sharp):
        kernel = ops.self_convolve(_least_squares(sharp, blurred, 5.0, 3), 2)
        return jnp.vdot(kernel, _asymmetric(3)) * 100

    slope = jnp.vdot(jax.jit(jax.grad(score))(sharp), direction)
    differences = (score(sharp + 0.01 * direction) - score(sharp - 0.01 * direction)) / 0.02
    np.testing.assert_allclose(slope, differences, rtol=2e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lam": 0.0}, "lam must be positive"),
        ({"lam": -1.0}, "lam must be positive"),
        ({"lam": float("nan")}, "lam must be positive"),
        ({"size": 4}, "odd"),
        ({"size": 9}, "smaller window"),
        ({"blurred": jnp.zeros((1, 8, 7, 2))}, "one shape"),
        ({"sharp": jnp.zeros((8, 8, 2)), "blurred": jnp.zeros((8, 8, 2))}, "B, H, W, C"),
    ],
)
def test_least_squares_names_mistakes(change, message):
    arguments = {"sharp": jnp.zeros((1, 8, 8, 2)), "blurred": jnp.zeros((1, 8, 8, 2)), "lam": 1.0, "size": 3}
    with pytest.raises(ValueError, match=message):
        ops.kernel_least_squares(**(arguments | change))


@pytest.mark.parametrize(("times", "size"), [(0, 5), (1, 5), (2, 17), (3, 9), (4, 65), (4, 5)])
def test_self_convolution_equals_repeated_direct_convolution(times, size):
    kernel = np.float64(_asymmetric()[0])
    direct = kernel
    for _ in range(2**times - 1):
        direct = scipy.signal.convolve2d(direct, kernel)
    margin = (direct.shape[0] - size) // 2
    direct = np.pad(direct, max(-margin, 0))
    inner = direct[max(margin, 0) : max(margin, 0) + size, max(margin, 0) : max(margin, 0) + size]
    got = jax.jit(lambda kernel: ops.self_convolve(kernel, times, size=size))(_asymmetric())
    np.testing.assert_allclose(got[0], inner / inner.sum(), atol=2e-7)


@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_a_gaussian_grows_by_the_root_of_the_number_of_kernels(times):
    got = ops.self_convolve(degradations.isotropic_gaussian(jnp.asarray([1.2]), 15), times, size=41)
    want = degradations.isotropic_gaussian(jnp.sqrt(2.0**times) * 1.2, 41)
    np.testing.assert_allclose(got[0], want, atol=1e-5)


def test_self_convolution_normalises_and_keeps_the_size():
    spread = jnp.full((2, 7, 7), 1 / 49)
    got = ops.self_convolve(spread, 2)
    assert got.shape == (2, 7, 7)
    assert got.min() >= 0
    np.testing.assert_allclose(got.sum(axis=(1, 2)), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "times", "size", "message"),
    [((1, 4, 4), 1, None, "odd"), ((1, 5, 5), 1, 4, "odd"), ((1, 5, 5), -1, 5, "times"), ((5, 5), 1, 5, "B, K, K")],
)
def test_self_convolution_names_mistakes(shape, times, size, message):
    with pytest.raises(ValueError, match=message):
        ops.self_convolve(jnp.zeros(shape), times, size=size)


COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")


def _estimate(sharp, blurred):
    return ops.self_convolve(_least_squares(sharp, blurred, 1e-3, 7), 2, size=13)


def test_no_collective_inside_shard_map():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
    batch = PartitionSpec("data")
    arguments = [jax.device_put(_normal(8, 16, 16, 2, seed=seed), NamedSharding(mesh, batch)) for seed in (0, 1)]
    mapped = functools.partial(jax.shard_map, mesh=mesh, in_specs=(batch, batch), out_specs=batch)(_estimate)
    compiled = jax.jit(mapped).lower(*arguments).compile()
    assert not any(name in compiled.as_text() for name in COLLECTIVES)
    np.testing.assert_allclose(compiled(*arguments), _estimate(*arguments), atol=1e-6)
    mixing = jax.jit(lambda x, y: x - y.mean(axis=0, keepdims=True)).lower(*arguments).compile()
    assert any(name in mixing.as_text() for name in COLLECTIVES)  # the search above can find collectives


def test_the_gradient_solver_finds_the_minimum():
    """The objective, written with ``blur`` and ``circular_gradients``, has zero gradient there and rises nearby."""
    blurred, gradients, kernel = _normal(2, 9, 12, 1), _normal(2, 9, 12, 2, seed=1), _asymmetric()
    weight = 0.3

    def objective(x):
        misfit = ops.blur(x, kernel, "circular") - blurred
        return jnp.square(misfit).sum() + weight * jnp.square(ops.circular_gradients(x) - gradients).sum()

    x = ops.gradient_solver(blurred, kernel)(gradients, weight)
    assert x.shape == blurred.shape
    np.testing.assert_allclose(jax.grad(objective)(x), 0, atol=2e-5)
    assert objective(x) < objective(x + 0.01 * _normal(*x.shape, seed=2))


def test_circular_gradients_go_right_and_down():
    x = jnp.arange(12.0).reshape(1, 3, 4, 1)
    right, below = np.moveaxis(np.asarray(ops.circular_gradients(x)[0]), -1, 0)
    np.testing.assert_array_equal(right, [[1, 1, 1, -3]] * 3)
    np.testing.assert_array_equal(below, [[4] * 4, [4] * 4, [-8] * 4])
