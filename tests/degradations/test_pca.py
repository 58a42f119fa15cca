import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import degradations
from blindsr_jax.degradations.pipeline import draw_kernels

SETTINGS = {
    "pca_v1_iso21": {"kind": "isotropic", "size": 21, "sigma": (0.2, 4.0)},
    "pca_v2_aniso11_x2": {"kind": "anisotropic", "size": 11, "sigma": (0.6, 5.0)},
    "pca_v2_aniso31_x4": {"kind": "anisotropic", "size": 31, "sigma": (0.6, 5.0)},
}


@pytest.fixture(scope="module")
def basis():
    return degradations.basis_for(6, count=2000, **SETTINGS["pca_v1_iso21"])


def test_golden_code(reference):
    golden = np.load(reference / "degradation.npz")
    code = degradations.encode(jnp.float32(golden["kernel"]), jnp.asarray(golden["pca_v1_iso21"]))
    np.testing.assert_allclose(code, golden["code_v1"], atol=2e-6)


@pytest.mark.parametrize("name", SETTINGS)
def test_spans_the_space_of_the_published_basis(reference, name):
    """Same settings, other draws: the two spaces agree but for the last directions, which carry next to nothing."""
    published = np.load(reference / "degradation.npz")[name]
    ours = degradations.basis_for(published.shape[1], count=10_000, **SETTINGS[name])
    cosines = np.linalg.svd(published.T @ ours)[1]
    assert np.all(cosines[:8] > 0.995)
    assert np.all(cosines > 0.9)


def test_columns_are_orthonormal_with_a_fixed_sign(basis):
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-5)
    assert np.all(basis[np.abs(basis).argmax(axis=0), np.arange(6)] > 0)


def test_is_the_best_subspace_of_its_kernels():
    kernels = np.random.default_rng(0).normal(size=(50, 3, 3))
    kernels -= kernels.mean(axis=0)
    flat = kernels.reshape(50, 9)
    ours = degradations.pca_basis(kernels, 4)
    residual = np.linalg.norm(flat - flat @ ours @ ours.T)
    np.testing.assert_allclose(residual, np.linalg.norm(np.linalg.svd(flat)[1][4:]), rtol=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
def test_decode_does_as_well_as_with_the_mean_of_the_family(reference, name):
    """ℓ1 of decode(encode(k)), over kernels the basis never saw, beside the PCA reconstruction with their true mean."""
    published = np.load(reference / "degradation.npz")[name]
    kernels = draw_kernels(jax.random.key(3), 200, **SETTINGS[name])
    decoded = degradations.decode(degradations.encode(kernels, published), jnp.asarray(published))
    np.testing.assert_allclose(decoded.sum(axis=(1, 2)), 1, atol=1e-4)

    flat = np.asarray(kernels).reshape(200, -1)
    mean = flat.mean(axis=0)
    ideal = (flat - mean) @ published @ published.T + mean
    gap = np.abs(decoded - kernels).sum(axis=(1, 2)).mean() - np.abs(ideal - flat).sum(axis=1).mean()
    assert gap < 0.03


@pytest.mark.parametrize("widest", [2.0, 3.0, 4.0])
def test_decode_is_exact_for_every_isotropic_setting(widest):
    family = {"kind": "isotropic", "size": 21, "sigma": (0.2, widest)}
    ours = jnp.asarray(degradations.basis_for(10, count=5000, **family))
    kernels = draw_kernels(jax.random.key(4), 100, **family)
    decoded = degradations.decode(degradations.encode(kernels, ours), ours)
    assert np.abs(decoded - kernels).sum(axis=(1, 2)).max() < 5e-3


def test_encode_undoes_decode(basis):
    code = jax.random.normal(jax.random.key(0), (5, 6))
    np.testing.assert_allclose(degradations.encode(degradations.decode(code, basis), basis), code, atol=1e-5)


def test_batches_keep_their_axes(basis):
    kernels = jnp.stack([degradations.dirac(21)] * 6).reshape(2, 3, 21, 21)
    assert degradations.encode(kernels, basis).shape == (2, 3, 6)
    assert degradations.decode(jnp.zeros((2, 3, 6)), basis).shape == (2, 3, 21, 21)


@pytest.mark.parametrize("length", [0, 10])
def test_length_must_fit(length):
    with pytest.raises(ValueError, match="length must be 1 to 9"):
        degradations.pca_basis(np.zeros((20, 3, 3)), length)
