import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from blindsr_jax import degradations, ops


@pytest.fixture(scope="module")
def hr():
    return jax.random.uniform(jax.random.key(7), (4, 48, 48, 3))


@pytest.mark.parametrize("s", [2, 3, 4])
def test_golden(reference, s):
    golden = np.load(reference / "degradation.npz")
    hr, kernel = jnp.float32(golden["hr"]) / 255, jnp.float32(golden["kernel"])
    out = degradations.degrade(jax.random.key(0), hr, scale=s, kernel=kernel, round_8bit=False)
    np.testing.assert_allclose(out.lr, golden[f"lr_x{s}"], atol=2e-6)
    out = degradations.degrade(jax.random.key(0), hr, scale=s, kernel=kernel)
    levels, expected = np.round(out.lr * 255), np.float64(golden[f"lr8_x{s}"])
    # Sums in another order differ by 1e-4 of a level at most, which decides only where the value is so close to a half.
    halves = np.abs(np.float64(golden[f"lr_x{s}"]) * 255 % 1 - 0.5) < 1e-4
    assert halves.mean() < 1e-3
    np.testing.assert_array_equal(levels[~halves], expected[~halves])
    np.testing.assert_allclose(levels, expected, atol=1)


@pytest.mark.parametrize("kernel", ["isotropic", "anisotropic"])
def test_runs_in_jit_and_repeats_itself(hr, kernel):
    options = {"scale": 4, "kernel": kernel, "noise": (0.0, 15.0)}
    compiled = jax.jit(functools.partial(degradations.degrade, **options))
    one, again, other = (compiled(jax.random.key(seed), hr) for seed in (3, 3, 4))
    assert one.lr.shape == (4, 12, 12, 3)
    assert one.kernel.shape == (4, 21, 21)
    np.testing.assert_array_equal(one.lr, again.lr)
    assert np.abs(one.kernel - other.kernel).max() > 0.01
    grid = np.asarray(one.lr) * 255
    np.testing.assert_allclose(grid, np.round(grid), atol=1e-4)


def test_is_independent_of_the_device_count(hr):
    degrade = functools.partial(degradations.degrade, scale=4, kernel="anisotropic", noise=(5.0, 5.0))
    alone = jax.jit(degrade)(jax.random.key(5), hr)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    spread = jax.jit(degrade, in_shardings=(None, split), out_shardings=split)(jax.random.key(5), hr)
    assert len(spread.lr.sharding.device_set) == 4
    np.testing.assert_array_equal(np.round(spread.lr * 255), np.round(alone.lr * 255))
    np.testing.assert_allclose(spread.kernel, alone.kernel, atol=1e-6)


def test_needs_no_collective(hr):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    degrade = functools.partial(degradations.degrade, scale=4, noise=(5.0, 5.0))
    compiled = jax.jit(degrade, in_shardings=(None, split), out_shardings=split).lower(jax.random.key(5), hr).compile()
    for collective in ("all-gather", "all-to-all", "collective-permute"):
        assert collective not in compiled.as_text()


def test_noise_has_the_level_asked_for():
    flat = jnp.full((2, 256, 256, 3), 0.5)
    out = degradations.degrade(jax.random.key(0), flat, scale=2, noise=(15.0, 15.0), round_8bit=False)
    assert abs(float(out.lr.std()) * 255 - 15) < 0.1
    assert abs(float(np.corrcoef(out.lr[0].ravel(), out.lr[1].ravel())[0, 1])) < 0.02
    quiet = degradations.degrade(jax.random.key(0), flat, scale=2, noise=(0.0, 0.0), round_8bit=False)
    np.testing.assert_allclose(quiet.lr, 0.5, atol=1e-6)


def test_the_level_of_each_images_noise_is_told():
    flat = jnp.full((8, 256, 256, 3), 0.5)
    options = {"scale": 2, "noise": (5.0, 25.0), "round_8bit": False}
    out = degradations.degrade(jax.random.key(0), flat, **options)
    np.testing.assert_allclose(out.lr.std(axis=(1, 2, 3)), out.sigma, rtol=0.02)
    assert 5 / 255 <= out.sigma.min() < out.sigma.max() <= 25 / 255
    some = degradations.degrade(jax.random.key(0), flat, noise_free_rate=0.5, **options)
    quiet = np.asarray(some.sigma) == 0
    assert 0 < quiet.sum() < 8
    np.testing.assert_allclose(some.lr[quiet], 0.5, atol=1e-6)
    np.testing.assert_array_equal(some.lr[~quiet], out.lr[~quiet])


def test_s_fold_and_bicubic_differ_as_said(hr):
    kernel = degradations.isotropic_gaussian(1.5, 11)[None]
    blurred = ops.blur(hr, kernel)
    folded = degradations.apply_degradation(hr, kernel, scale=2, downsample="s_fold")
    np.testing.assert_array_equal(folded, blurred[:, ::2, ::2])
    np.testing.assert_array_equal(degradations.apply_degradation(hr, kernel, scale=2), ops.imresize(blurred, 0.5))


def test_is_differentiable_in_image_and_kernel(hr):
    def brightness(hr, kernel):
        return degradations.apply_degradation(hr, kernel, scale=2).sum()

    by_hr, by_kernel = jax.grad(brightness, argnums=(0, 1))(hr, degradations.isotropic_gaussian(1.0, 5)[None])
    np.testing.assert_allclose(by_hr.sum(), hr.size / 4, rtol=1e-4)  # linear, and averages: what goes in comes out
    assert np.isfinite(by_kernel).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 5}, "no multiple of the scale 5"),
        ({"scale": 4, "downsample": "nearest"}, "s_fold"),
        ({"scale": 4, "kernel": "no_such"}, "no_such"),
        ({"scale": 4, "kernel_size": 20}, "odd"),
    ],
)
def test_bad_options_are_named(hr, options, message):
    with pytest.raises(ValueError, match=message):
        degradations.degrade(jax.random.key(0), hr, **options)


def test_a_pool_is_drawn_from_evenly():
    pool = np.float32([kernels * np.eye(3) / 3 for kernels in (1, 2, 4)])
    hr = jnp.zeros((300, 4, 4, 3))
    out = degradations.degrade(jax.random.key(0), hr, scale=2, kernel="pool", pool=pool, downsample="s_fold")
    assert out.kernel.shape == (300, 3, 3)
    counts = [int((np.asarray(out.kernel) == kernel).all(axis=(1, 2)).sum()) for kernel in pool]
    assert sum(counts) == 300
    assert min(counts) > 75
    with pytest.raises(ValueError, match="give them as pool"):
        degradations.degrade(jax.random.key(0), hr, scale=2, kernel="pool")
