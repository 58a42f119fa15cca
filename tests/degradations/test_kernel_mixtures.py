import functools

import jax
import numpy as np
import pytest

from blindsr_jax import degradations, ops
from blindsr_jax.degradations.pools import moments
from blindsr_jax.degradations.samplers import kernels_of
from blindsr_jax.networks import build

SAMPLERS = {
    "sample_real_esrgan": {},
    "sample_realdan": {},
    "sample_kerneldan": {"size": 21},
    "sample_sinc": {},
    "sample_bsrgan": {"scale": 4},
    "sample_bsrgan_down": {"scale": 4},
    "sample_motion": {"size": 21},
    "sample_photo": {},
}


@functools.cache
def _draw(name, count=400, seed=0, **options):
    sample = functools.partial(getattr(degradations, name), count=count, **{**SAMPLERS[name], **options})
    return np.asarray(jax.jit(sample)(jax.random.key(seed)))


def _supports(kernels):
    """Sizes of the smallest central squares that hold everything."""
    centre = kernels.shape[-1] // 2
    rows, columns = (np.abs(np.arange(kernels.shape[-1]) - centre)[None] * (kernels != 0).any(axis=a) for a in (1, 2))
    return 2 * np.maximum(rows, columns).max(axis=1) + 1


def _is_round(kernels):
    return np.array([np.allclose(kernel, np.rot90(kernel), atol=1e-5 * kernel.max()) for kernel in kernels])


@pytest.mark.parametrize("name", SAMPLERS)
def test_kernels_are_finite_and_sum_to_one(name):
    kernels = _draw(name)
    assert kernels.shape == (400, *2 * (25 if "bsrgan" in name else 21,))
    np.testing.assert_allclose(kernels.sum(axis=(1, 2)), 1, rtol=1e-5)
    np.testing.assert_array_equal(kernels, _draw.__wrapped__(name))
    assert np.abs(kernels - _draw(name, seed=1)).max() > 0.1


@pytest.mark.parametrize("name", ["sample_real_esrgan", "sample_realdan", "sample_bsrgan"])
def test_supports_go_from_seven_to_the_whole(name):
    wide = {"sigma": (3.0, 3.0)} if name != "sample_bsrgan" else {}
    kernels = _draw(name, **wide)
    supports = _supports(kernels)
    assert supports.min() == 7 or name == "sample_bsrgan"  # where narrow Gaussians vanish before
    assert supports.max() == kernels.shape[-1]
    with pytest.raises(ValueError, match="at least 7"):
        degradations.sample_sinc(jax.random.key(0), 2, size=5)


def test_real_esrgan_has_its_shares():
    kernels = _draw("sample_real_esrgan", sigma=(0.6, 2.0))
    ringing = kernels.min(axis=(1, 2)) < 0
    assert 0.06 < ringing.mean() < 0.14
    assert 0.61 < _is_round(kernels[~ringing]).mean() < 0.76  # 0.69
    plain = _draw("sample_real_esrgan", shares=(0, 1, 0, 0, 0, 0), sinc_rate=0.0, sigma=(2.0, 2.0))
    whole = plain[_supports(plain) == 21]
    assert len(whole) > 20
    np.testing.assert_allclose(whole, np.broadcast_to(degradations.isotropic_gaussian(2.0, 21), whole.shape), atol=1e-6)


def test_half_of_real_esrgans_plateaus_have_an_exponent_of_one():
    only = {"sinc_rate": 0.0, "sigma": (2.0, 2.0), "shares": (0, 0, 0, 0, 1, 0)}
    kernels = _draw("sample_real_esrgan", **only)
    whole = kernels[_supports(kernels) == 21]
    exponent_one = np.asarray(degradations.plateau(2.0, 2.0, 0.0, 1.0, 21))
    share = np.mean([np.allclose(kernel, exponent_one, atol=1e-6) for kernel in whole])
    assert 0.3 < share < 0.7


def test_realdan_is_wider_and_has_its_shares():
    kernels = _draw("sample_realdan")
    ringing = kernels.min(axis=(1, 2)) < 0
    assert 0.06 < ringing.mean() < 0.14
    assert 0.62 < _is_round(kernels[~ringing]).mean() < 0.78  # 0.7
    plain = {"sigma": (1.5, 1.5), "generalized_rate": 0.0, "gaussian_rate": 1.0, "sinc_rate": 0.0}
    gaussians = _draw("sample_realdan", **plain)
    np.testing.assert_allclose(moments(gaussians[_supports(gaussians) == 21]).wide, 1.5, rtol=1e-3)
    plateaus = {**plain, "gaussian_rate": 0.0, "beta_plateau": (1.5, 1.5), "size": 31}
    wanted = degradations.plateau(1.5 * 2**0.5, 1.5 * 2**0.5, 0.0, 1.5, 31)
    drawn = _draw("sample_realdan", **plateaus)
    whole = drawn[_supports(drawn) == 31]
    np.testing.assert_allclose(whole, np.broadcast_to(wanted, whole.shape), atol=1e-6)


def test_numbers_of_kerneldan_give_its_kernels():
    """The widths and angles that are described make the drawn kernels, apart from their noise."""
    size, key = 31, jax.random.key(3)
    exact, noisy = (kernels_of("kerneldan", multiplicative_noise=noise) for noise in (0.0, 0.25))
    numbers = exact.description(key, 50, size=size)
    kernels = build("kerneldan", scale=4).kernel_of(numbers)
    np.testing.assert_allclose(exact.draw(key, 50, size=size), kernels, atol=1e-6)
    np.testing.assert_array_equal(numbers, noisy.description(key, 50, size=size))
    constants = np.float32([1 / 7, 1, 0, 0, 0])
    np.testing.assert_allclose(numbers[:, 3:], np.broadcast_to(constants, (50, 5)), rtol=1e-6)
    ratio = np.asarray(noisy.draw(key, 50, size=size) / kernels)[np.asarray(kernels) > 1e-4]
    assert 0.7 < ratio.min() < 0.8 and 1.2 < ratio.max() < 1.35  # 0.75 to 1.25, then normalised
    narrow = kernels_of("kerneldan", sigma=(0.6, 0.6)).description(key, 2, size=size)
    np.testing.assert_allclose(narrow[:, :2], 0, atol=1e-6)  # of 0.6 … 5 pixels, whatever the range


def test_sinc_or_nothing():
    kernels = _draw("sample_sinc")
    sharp = (kernels == np.asarray(degradations.dirac(21))).all(axis=(1, 2))
    assert 0.14 < sharp.mean() < 0.26
    assert (kernels[~sharp].min(axis=(1, 2)) < 0).all()
    assert (_supports(_draw("sample_sinc", rate=1.0)) > 1).all()


@pytest.mark.parametrize("scale", [2, 4])
def test_bsrgan_widths_end_where_they_should(scale):
    kernels = _draw("sample_bsrgan", scale=scale)
    wide = moments(kernels).wide
    assert wide.max() < (4 + scale) ** 0.5 + 0.01
    assert 0.4 < _is_round(kernels).mean() < 0.65


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bsrgan_samples_the_centres_of_blocks(scale):
    kernels = _draw("sample_bsrgan_down", count=8, scale=scale)
    ramp = np.broadcast_to(np.arange(64.0, dtype=np.float32)[None, :, None, None], (8, 64, 64, 1))
    low = ops.s_fold_down(ops.blur(jax.numpy.asarray(ramp), kernels), scale)
    inner = slice(16 // scale, 40 // scale)
    centres = (np.arange(64)[::scale] + (scale - 1) / 2)[inner]
    np.testing.assert_allclose(low[:, inner, 24 // scale, 0], np.broadcast_to(centres, (8, len(centres))), atol=2e-3)
