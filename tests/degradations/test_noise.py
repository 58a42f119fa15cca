import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from blindsr_jax import degradations


@pytest.fixture(scope="module")
def flat():
    return jnp.full((4, 128, 128, 3), 0.5)


LEVELS = np.float32([0.0, 0.02, 0.05, 0.1])
ADD = {"awgn": degradations.add_awgn, "speckle": degradations.add_speckle}


def _correlations(noise):
    """Of red with green and of red with blue, for each image: [B, 2]."""
    return np.array([np.corrcoef(image.reshape(-1, 3).T)[0, 1:] for image in np.asarray(noise)])


@pytest.mark.parametrize(("kind", "share"), [("awgn", 1.0), ("speckle", 0.5)])
def test_each_image_has_its_own_level_and_grey_ones_one_map(flat, kind, share):
    grey = jnp.array([False, True, False, True])
    noise = jax.jit(ADD[kind])(jax.random.key(0), flat, LEVELS, grey) - flat
    np.testing.assert_allclose(noise.std(axis=(1, 2, 3)), LEVELS * share, rtol=0.02, atol=1e-7)
    np.testing.assert_allclose(_correlations(noise[1::2]), 1, atol=1e-3)
    assert np.abs(_correlations(noise[2:3])).max() < 0.03


def test_awgn_without_grey_is_what_it_was(flat):
    noise = degradations.add_awgn(jax.random.key(7), flat, 0.1) - flat
    np.testing.assert_allclose(noise, 0.1 * jax.random.normal(jax.random.key(7), flat.shape), atol=1e-6)


def test_speckle_grows_with_the_picture():
    steps = jnp.broadcast_to(jnp.array([0.0, 0.25, 1.0])[:, None, None, None], (3, 128, 128, 3))
    noise = degradations.add_speckle(jax.random.key(0), steps, 0.1) - steps
    np.testing.assert_allclose(noise.std(axis=(1, 2, 3)), [0, 0.025, 0.1], rtol=0.02)


def test_correlated_noise_draws_a_covariance_for_each_image():
    images, levels = jnp.full((40, 64, 64, 3), 0.5), np.float32(np.repeat([0.05, 0.1], 20))
    noise = np.asarray(jax.jit(degradations.add_correlated)(jax.random.key(0), images, levels) - images)
    deviations = noise.std(axis=(1, 2))
    assert (deviations < levels[:, None] * 1.03).all()
    assert deviations[20:].max() > 0.07
    correlations = _correlations(noise)
    assert correlations.min() > -0.05  # magnitudes
    assert correlations.max() > 0.5
    assert correlations.std() > 0.1
    neighbours = [np.corrcoef(image[:, 1:].ravel(), image[:, :-1].ravel())[0, 1] for image in noise]
    assert np.abs(neighbours).max() < 0.06


@pytest.mark.parametrize(("kind", "grey"), [("color", False), ("gray", True)])
def test_golden_poisson_variance(reference, kind, grey):
    golden = np.load(reference / "internal" / "real.npz")
    image = np.broadcast_to(np.float32(golden["image"]) / 255, (200, *golden["image"].shape))
    draw = jax.jit(lambda key, x: degradations.add_poisson(key, x, 1.7, jnp.full(200, grey)))
    noise = np.asarray(draw(jax.random.key(0), image)) - image
    source = golden["poisson/gray"][..., None] if grey else np.round(image[0] * 255) / 255
    variance, wanted = noise.var(axis=0, ddof=1), 1.7**2 * source / golden[f"poisson/vals_{kind}"]
    assert (variance / wanted).mean() == pytest.approx(1, abs=2e-3)
    theirs = golden[f"poisson/{kind}_variance_per_pixel"]
    assert variance[:24, :24].mean() == pytest.approx(theirs.mean(), rel=0.01)
    assert np.corrcoef(variance[:24, :24].ravel(), theirs.ravel())[0, 1] > 0.94  # two estimates of 200 draws
    if grey:
        np.testing.assert_allclose(noise[..., 0], noise[..., 2], atol=2e-7)


@pytest.mark.parametrize("mean", [0.0, 0.2, 1.5, 2.0, 3.0, 12.0, 200.0])
def test_poisson_noise_has_poissons_distribution(mean):
    white = jnp.ones((1, 512, 512, 3))
    drawn = np.asarray(degradations.add_poisson(jax.random.key(1), white, counts=max(mean, 1e-30))) * mean
    seen = np.bincount(np.round(drawn).astype(int).ravel(), minlength=400) / drawn.size
    distance = np.abs(seen - scipy.stats.poisson.pmf(np.arange(len(seen)), mean)).sum() / 2
    assert distance < 0.009
    np.testing.assert_allclose(drawn, np.round(drawn), atol=1e-3)


@pytest.mark.parametrize(("levels", "counts"), [(1, 1), (2, 2), (3, 4), (64, 64), (65, 128), (200, 256)])
def test_counts_are_the_number_of_levels_up_to_a_power_of_two(levels, counts):
    pattern = jnp.arange(96 * 96 * 3).reshape(1, 96, 96, 3) % levels + 20
    by_rule, by_hand = (degradations.add_poisson(jax.random.key(0), pattern / 255, counts=c) for c in (None, counts))
    np.testing.assert_array_equal(by_rule, by_hand)


def test_poisson_levels_are_per_image_and_black_stays_black():
    images = jnp.concatenate([jnp.zeros((1, 128, 128, 3)), jnp.full((3, 128, 128, 3), 102 / 255)])
    scale, counts = jnp.array([3.0, 0.0, 1.0, 2.0]), jnp.array([50.0, 50.0, 50.0, 200.0])
    noise = jax.jit(degradations.add_poisson)(jax.random.key(0), images, scale, False, counts) - images
    np.testing.assert_allclose(noise.std(axis=(1, 2, 3)), scale * jnp.sqrt(images[:, 0, 0, 0] / counts), rtol=0.02)
    np.testing.assert_allclose(noise.mean(axis=(1, 2, 3)), 0, atol=2e-3)
