import numpy as np
import pytest

from blindsr_jax.degradations import isotropic_gaussian, pools


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_fixed_gaussian_errs_by_about_three_tenths(scale):
    train, test = pools.split_pool(pools.kernel_pool(scale, count=500))
    width = pools.best_gaussian(train)
    low, high = pools.POOL_WIDTHS[scale]
    assert low < width < high
    assert 0.27 < pools.l1_of_gaussian(test, width) < 0.34
    gaussians = pools.kernel_pool(scale, count=300, irregular=False)
    assert 0.15 < pools.l1_of_gaussian(gaussians, pools.best_gaussian(gaussians)) < 0.22


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_kernels_are_centred_and_normalised(scale):
    pool = pools.kernel_pool(scale, count=200)
    assert pool.shape == (200, pools.POOL_SIZES[scale], pools.POOL_SIZES[scale])
    assert pool.dtype == np.float32
    assert pool.min() >= 0
    np.testing.assert_allclose(pool.sum(axis=(1, 2)), 1, atol=1e-5)
    found, (low, high) = pools.moments(pool), pools.POOL_WIDTHS[scale]
    assert found.offset.max() < 0.02
    spread = np.sqrt((found.narrow**2 + found.wide**2) / 2)
    assert 0.9 * low < spread.min() and spread.max() < 1.1 * high
    edge = np.concatenate([pool[:, 0], pool[:, -1], pool[:, :, 0], pool[:, :, -1]], axis=1)
    assert edge.sum(axis=1).max() < 2e-3  # the window holds them


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_half_of_a_shaken_pool_is_shaken(scale):
    pool, usual = pools.shaken_pool(scale, count=80), pools.kernel_pool(scale, count=40)
    assert (pool.shape, pool.dtype) == ((80, *usual.shape[1:]), np.float32)
    ours = {kernel.tobytes() for kernel in usual}
    shaken = np.array([kernel for kernel in pool if kernel.tobytes() not in ours])
    assert len(shaken) == 40
    assert shaken.min() >= 0
    np.testing.assert_allclose(shaken.sum(axis=(1, 2)), 1, atol=1e-5)
    found, (low, high) = pools.moments(shaken), pools.POOL_WIDTHS[scale]
    assert found.offset.max() < 0.05
    spread = np.sqrt((found.narrow**2 + found.wide**2) / 2)
    assert 0.9 * low < spread.min() and spread.max() < 1.1 * high
    width = pools.best_gaussian(usual)
    assert pools.l1_of_gaussian(shaken, width) > 1.5 * pools.l1_of_gaussian(usual, width)
    tested = pools.shaken_kernels(np.linspace(low, high, 8), pool.shape[-1])  # the protocol's: not among them
    paths = [kernel for kind, kernel in tested.items() if not kind.startswith("disc")]
    assert all(np.abs(shaken - kernel).sum(axis=(1, 2)).min() > 0.05 for kernel in paths)


def test_a_solvers_pool_is_half_paths_and_half_gaussians_off_centre():
    pool = pools.solver_pool(count=400)
    assert (pool.shape, pool.dtype) == ((400, 25, 25), np.float32)
    assert pool.min() >= 0
    np.testing.assert_allclose(pool.sum(axis=(1, 2)), 1, atol=1e-5)
    edge = np.concatenate([pool[:, 0], pool[:, -1], pool[:, :, 0], pool[:, :, -1]], axis=1)
    assert edge.sum(axis=1).max() < 5e-3  # the window holds them
    found, (low, high) = pools.moments(pool), pools.SOLVER_WIDTHS
    moved = found.offset > 0.1
    assert 100 < moved.sum() < 200  # of the Gaussians, a quarter has no offset
    steps = found.offset[moved] / (0.5 * 2**0.5)
    np.testing.assert_allclose(steps, np.round(steps), atol=0.05)
    assert set(np.round(steps)) == {1, 2, 3}
    assert found.narrow[moved].min() > 0.95 * low and found.wide[moved].max() < 1.02 * high
    np.testing.assert_array_equal(pool[:4], pools.solver_pool(count=400)[:4])
    assert not np.array_equal(pool[:4], pools.solver_pool(count=400, seed=1)[:4])
    for wrong in ({"count": 0}, {"size": 24}, {"size": 21}):
        with pytest.raises(ValueError, match="at least"):
            pools.solver_pool(**wrong)


def test_shares_of_the_kinds():
    """Round kernels have equal widths along both axes, other Gaussians the moments and the values of one."""
    pool = pools.kernel_pool(2, count=400)
    found = pools.moments(pool)
    is_round = found.wide - found.narrow < 1e-3
    assert abs(is_round.sum() - 0.24 * 400) <= 2  # of the others one may be round by chance
    round_ones = pools.moments(pools.kernel_pool(2, count=300, irregular=False))
    assert (round_ones.wide - round_ones.narrow < 1e-3).sum() == 200
    widths = round_ones.wide[round_ones.wide - round_ones.narrow < 1e-3]
    np.testing.assert_allclose([widths.min(), widths.mean(), widths.max()], [1.2, 1.6, 2.0], atol=0.05)


def test_moments():
    offset = np.zeros((1, 9, 9))
    offset[0, 4, 5], offset[0, 4, 7] = 0.5, 0.5
    found = pools.moments(np.concatenate([offset, np.asarray(isotropic_gaussian(np.float32([1.2]), 9))]))
    np.testing.assert_allclose(found.offset, [2, 0], atol=1e-6)
    np.testing.assert_allclose(found.narrow, [0, 1.2], atol=1e-2)
    np.testing.assert_allclose(found.wide, [1, 1.2], atol=1e-2)


def test_a_seed_decides():
    pool = pools.kernel_pool(3, count=12, seed=4)
    np.testing.assert_array_equal(pool, pools.kernel_pool(3, count=12, seed=4))
    assert not np.array_equal(pool, pools.kernel_pool(3, count=12, seed=5))


def test_split_parts_without_overlap():
    pool = pools.kernel_pool(2, count=40)
    train, test = pools.split_pool(pool, test_share=0.25)
    assert (len(train), len(test)) == (30, 10)
    together = {kernel.tobytes() for kernel in [*train, *test]}
    assert together == {kernel.tobytes() for kernel in pool}
    again, other = pools.split_pool(pool, test_share=0.25)[1], pools.split_pool(pool, test_share=0.25, seed=1)[1]
    np.testing.assert_array_equal(test, again)
    assert not np.array_equal(test, other)
    assert [len(part) for part in pools.split_pool(pool[:2], test_share=0.01)] == [1, 1]


def test_the_best_gaussian_of_gaussians_is_found():
    pool = np.asarray(isotropic_gaussian(np.float32([1.7, 1.7, 1.7]), 17))
    assert abs(pools.best_gaussian(pool) - 1.7) < 0.02
    assert pools.l1_of_gaussian(pool, 1.7) < 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 5}, "scales 2, 3, 4"),
        ({"scale": 2, "count": 0}, "at least one"),
        ({"scale": 4, "size": 30}, "odd size of at least 25"),
        ({"scale": 4, "size": 23}, "odd size of at least 25"),
    ],
)
def test_pools_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        pools.kernel_pool(**arguments)


@pytest.mark.parametrize(("count", "share"), [(1, 0.2), (5, 0.0), (5, 1.0)])
def test_splits_that_cannot_be(count, share):
    with pytest.raises(ValueError, match="parted in two"):
        pools.split_pool(np.ones((count, 3, 3)), test_share=share)
