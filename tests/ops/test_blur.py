import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from blindsr_jax import ops


def _random(*shape, seed=0):
    return jax.random.uniform(jax.random.key(seed), shape)


@pytest.mark.parametrize(
    ("mode", "scipy_mode"), [("reflect", "mirror"), ("symmetric", "reflect"), ("circular", "wrap")]
)
def test_equals_a_direct_correlation_per_sample(mode, scipy_mode):
    x, kernel = _random(3, 13, 17, 2), _random(3, 5, 5, seed=1)
    got = ops.blur(x, kernel, mode)
    for b in range(3):
        for c in range(2):
            want = scipy.ndimage.correlate(np.float64(x[b, ..., c]), np.float64(kernel[b]), mode=scipy_mode)
            np.testing.assert_allclose(got[b, ..., c], want, atol=2e-6)


def test_golden(reference):
    golden = np.load(reference / "degradation.npz")
    got = ops.blur(jnp.float32(golden["hr"]) / 255, jnp.float32(golden["kernel"]))
    np.testing.assert_allclose(got, golden["blurred"], atol=2e-6)


def test_one_kernel_for_all():
    x, kernel = _random(2, 9, 9, 3), _random(1, 3, 3, seed=1)
    np.testing.assert_array_equal(ops.blur(x, kernel), ops.blur(x, jnp.repeat(kernel, 2, axis=0)))


def test_dirac_changes_nothing_and_a_shifted_one_shifts():
    x = _random(1, 8, 8, 1)
    np.testing.assert_array_equal(ops.blur(x, jnp.zeros((1, 5, 5)).at[0, 2, 2].set(1.0)), x)
    below = ops.blur(x, jnp.zeros((1, 5, 5)).at[0, 3, 2].set(1.0), "circular")
    np.testing.assert_array_equal(below, jnp.roll(x, -1, axis=1))  # a correlation reads at the position of its weight


def test_circular_blur_has_the_flipped_kernel_as_adjoint():
    x, y, kernel = _random(1, 12, 10, 1), _random(1, 12, 10, 1, seed=1), _random(1, 5, 5, seed=2)
    left = jnp.vdot(ops.blur(x, kernel, "circular"), y)
    right = jnp.vdot(x, ops.blur(y, kernel[:, ::-1, ::-1], "circular"))
    np.testing.assert_allclose(left, right, rtol=1e-5)


@pytest.mark.parametrize("mode", ["reflect", "circular"])
def test_gradient_is_the_adjoint(mode):
    x, y, kernel = _random(2, 9, 9, 1), _random(2, 9, 9, 1, seed=1), _random(2, 3, 3, seed=2)
    _, pullback = jax.vjp(lambda x, k: ops.blur(x, k, mode), x, kernel)
    back_x, back_kernel = pullback(y)
    np.testing.assert_allclose(jnp.vdot(ops.blur(x, kernel, mode), y), jnp.vdot(x, back_x), rtol=1e-5)
    np.testing.assert_allclose(jnp.vdot(kernel, back_kernel), jnp.vdot(x, back_x), rtol=1e-5)  # linear in both


@pytest.mark.parametrize(
    ("x_shape", "kernel_shape", "message"),
    [
        ((1, 8, 8, 3), (1, 4, 4), "odd"),
        ((1, 8, 8, 3), (1, 3, 5), "odd"),
        ((1, 8, 8, 3), (3, 3), "odd"),
        ((3, 8, 8, 3), (2, 3, 3), "2 kernels for 3"),
        ((1, 8, 8, 3), (1, 17, 17), "too large"),
    ],
)
def test_bad_kernels_are_named(x_shape, kernel_shape, message):
    with pytest.raises(ValueError, match=message):
        ops.blur(jnp.zeros(x_shape), jnp.ones(kernel_shape))


def test_unknown_border_is_named():
    with pytest.raises(ValueError, match="circular"):
        ops.blur(jnp.zeros((1, 8, 8, 3)), jnp.ones((1, 3, 3)), "zeros")
