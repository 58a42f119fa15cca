import functools

import jax
import numpy as np
import pytest

from blindsr_jax import degradations
from blindsr_jax.degradations.pools import moments

KINDS = ("none", "gaussian", "anisotropic", "defocus", "motion", "generalized")


@functools.cache
def _program(**options):
    return jax.jit(lambda key, shares: degradations.sample_photo(key, 300, **shares, **options))


def _photo(*kinds, **options):
    shares = {kind: float(kind in kinds) for kind in KINDS}
    return np.asarray(_program(**options)(jax.random.key(0), shares))


def test_paths_are_as_long_as_asked_and_centred():
    kernels = np.asarray(degradations.sample_motion(jax.random.key(0), 200, size=15, length=(9.0, 9.0)))
    found = moments(kernels)
    np.testing.assert_allclose(found.offset, 0, atol=1e-5)
    assert found.wide.max() < (9**2 / 12 + 1 / 4) ** 0.5  # a straight one, and what sharing among pixels adds
    assert np.median(found.wide) > 0.7 * 9 / 12**0.5
    still = degradations.sample_motion(jax.random.key(0), 3, size=15, length=(0.0, 0.0))
    np.testing.assert_array_equal(still, np.broadcast_to(degradations.dirac(15), (3, 15, 15)))


def test_paths_point_everywhere():
    kernels = np.asarray(degradations.sample_motion(jax.random.key(1), 400, size=15, length=(9.0, 9.0)))
    axis = np.arange(15) - 7
    rows, columns = (np.einsum("nhw,h->n" if a else "nhw,w->n", kernels, axis**2) for a in (1, 0))
    assert 0.4 < (rows > columns).mean() < 0.6
    turning = np.einsum("nhw,h,w->n", kernels, axis, axis)
    assert 0.4 < (turning > 0).mean() < 0.6


def test_paths_must_fit():
    with pytest.raises(ValueError, match="give 14 at most"):
        degradations.sample_motion(jax.random.key(0), 1, size=15, length=(1.0, 14.5))


def test_each_kind_has_the_width_asked_for():
    np.testing.assert_array_equal(_photo("none"), np.broadcast_to(degradations.dirac(21), (300, 21, 21)))
    two = {"size": 31, "sigma": (2.0, 2.0)}
    np.testing.assert_allclose(moments(_photo("gaussian", **two)).wide, 2, rtol=1e-3)
    np.testing.assert_allclose(moments(_photo("defocus", **two)).narrow, (4 + 1 / 12) ** 0.5, rtol=0.02)
    oval = moments(_photo("anisotropic", **two))
    np.testing.assert_allclose(oval.wide, 2, rtol=1e-2)
    assert 1 <= (oval.wide / oval.narrow).min() < 1.05
    assert 1.45 < (oval.wide / oval.narrow).max() < 1.51
    assert np.median(moments(_photo("motion", **two)).wide) == pytest.approx(2, rel=0.15)
    peaks = _photo("generalized", **two)[:, 15, 15] * (2 * np.pi * 4)
    assert peaks.min() < 1 < peaks.max()  # flatter and sharper than the Gaussian of this width


def test_kinds_come_in_their_shares():
    kernels = _photo("none", "defocus", sigma=(2.0, 2.0))
    assert 0.4 < (kernels.max(axis=(1, 2)) == 1).mean() < 0.6
    sharp = np.asarray(degradations.sample_photo(jax.random.key(0), 300)).max(axis=(1, 2)) == 1
    assert 0.24 < sharp.mean() < 0.38


def test_kernels_smaller_than_the_longest_path_hold_it_all_the_same():
    kernels = _photo("motion", size=7, sigma=(0.3, 8.0))
    np.testing.assert_allclose(kernels.sum(axis=(1, 2)), 1, rtol=1e-5)
    np.testing.assert_allclose(moments(kernels).offset, 0, atol=1e-5)
