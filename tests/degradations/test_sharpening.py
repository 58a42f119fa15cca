import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import degradations


def _random(*shape):
    return jax.random.uniform(jax.random.key(0), shape)


def test_golden(reference):
    golden = np.load(reference / "internal" / "real.npz")
    sharp = jax.jit(degradations.unsharp_mask)(jnp.float32(golden["image"])[None] / 255)
    np.testing.assert_allclose(sharp[0], golden["usm"], atol=2e-6)


def test_amounts_are_per_image_and_zero_changes_nothing():
    x = _random(3, 40, 48, 3)
    sharp = jax.jit(degradations.unsharp_mask)(x, jnp.array([0.0, 0.3, 0.9]))
    np.testing.assert_array_equal(sharp[0], x[0])
    for image, amount in ((1, 0.3), (2, 0.9)):
        alone = degradations.unsharp_mask(x[image : image + 1], amount)
        np.testing.assert_allclose(sharp[image], alone[0], atol=1e-6)
    assert sharp.min() >= 0
    assert sharp.max() <= 1 + 1e-6


def test_an_edge_overshoots_on_both_sides():
    edge = jnp.broadcast_to(jnp.where(jnp.arange(64) < 32, 0.3, 0.7)[None, None, :, None], (1, 32, 64, 1))
    row = np.asarray(degradations.unsharp_mask(edge, 0.5, radius=2.0, threshold=-1.0))[0, 16, :, 0]
    np.testing.assert_allclose(row[:20], 0.3, atol=1e-6)
    np.testing.assert_allclose(row[44:], 0.7, atol=1e-6)
    assert row[31] < 0.25
    assert row[32] > 0.75
    np.testing.assert_allclose(row + row[::-1], 1, atol=1e-6)


def test_what_differs_by_less_than_the_threshold_stays():
    x = 0.5 + (_random(1, 64, 64, 3) - 0.5) * 18 / 255
    np.testing.assert_array_equal(degradations.unsharp_mask(x, 1.0), x)
    assert np.abs(degradations.unsharp_mask(x, 1.0, threshold=2.0) - x).max() > 2 / 255


def test_images_may_be_smaller_than_the_gaussian():
    x = _random(1, 5, 1, 3)
    assert np.isfinite(degradations.unsharp_mask(x)).all()
    flat = jnp.full((1, 5, 7, 3), 0.4)
    np.testing.assert_allclose(degradations.unsharp_mask(flat, 2.0, threshold=-1.0), flat, atol=1e-6)


@pytest.mark.parametrize("radius", [0, -1.0, float("nan")])
def test_radius_must_be_positive(radius):
    with pytest.raises(ValueError, match="radius"):
        degradations.unsharp_mask(_random(1, 8, 8, 3), radius=radius)
