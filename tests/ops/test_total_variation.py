import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.ops import total_variation_denoise

B = 0.08  # gradient of the prior, as documented


def _energy(z, x, sigma):
    down, right = np.diff(z, axis=1, append=z[:, -1:]), np.diff(z, axis=2, append=z[:, :, -1:])
    lengths = np.sqrt((down**2 + right**2).sum(axis=-1))
    return 0.5 * ((z - x) ** 2).sum() + sigma**2 / B * lengths.sum()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_step_shrinks_by_what_the_formula_says(channels):
    """For a left half of 0 and a right half of 1, both means move towards each other by exactly 2·(σ²/b)/(W·√C)."""
    x = jnp.zeros((1, 6, 12, channels)).at[:, :, 6:].set(1.0)
    sigma = 0.1
    moved = 2 * sigma**2 / B / (12 * np.sqrt(channels))
    got = total_variation_denoise(x, sigma, steps=300)
    np.testing.assert_allclose(got[:, :, :6], moved, atol=2e-4)
    np.testing.assert_allclose(got[:, :, 6:], 1 - moved, atol=2e-4)


def test_nothing_nearby_has_less_energy():
    x = np.float64(jax.random.uniform(jax.random.key(0), (1, 9, 12, 3)))
    sigma = 0.15
    z = np.float64(total_variation_denoise(jnp.float32(x), sigma, steps=500))
    least = _energy(z, x, sigma)
    generator = np.random.default_rng(0)
    others = [z + 0.02 * generator.normal(size=z.shape), 0.98 * z + 0.02 * x, 0.95 * z + 0.05 * z.mean(axis=(1, 2))]
    assert all(_energy(other, x, sigma) > least for other in others)
    roughly = _energy(np.float64(total_variation_denoise(jnp.float32(x), sigma)), x, sigma)
    assert least <= roughly < least + 0.05 * (_energy(x, x, sigma) - least)


def test_no_noise_changes_nothing_and_each_image_has_its_own_level():
    x = jax.random.uniform(jax.random.key(0), (2, 9, 12, 3))
    got = total_variation_denoise(x, jnp.array([0.0, 0.1]))
    np.testing.assert_allclose(got[0], x[0], atol=1e-6)
    np.testing.assert_allclose(got[1:], total_variation_denoise(x[1:], 0.1), atol=1e-6)
    np.testing.assert_allclose(got.mean(axis=(1, 2)), x.mean(axis=(1, 2)), atol=1e-5)


def test_removes_noise(photo):
    clean = jnp.float32(photo)[None] / 255
    noisy = clean + 0.1 * jax.random.normal(jax.random.key(0), clean.shape)
    error = jnp.square(total_variation_denoise(noisy, 0.1) - clean).mean()
    assert float(error) < 0.4 * 0.1**2


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_gradient_is_finite_on_flat_images(value):
    x = jnp.full((1, 6, 6, 3), value)
    for gradient in jax.grad(lambda x, s: total_variation_denoise(x, s).sum(), argnums=(0, 1))(x, 0.0):
        assert jnp.isfinite(gradient).all()
