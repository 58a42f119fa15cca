"""DCLS, DASR, IKC, KernelDAN and RealDAN: same numbers as the authors' PyTorch code, from their checkpoint files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import load
from blindsr_jax.cli import main
from blindsr_jax.degradations import reformulated_kernel
from blindsr_jax.networks import build
from blindsr_jax.types import Degraded
from blindsr_jax.weights.official_ikc import computed_basis
from tests.conftest import drilled

TOLERANCE = 2e-4  # of the largest reference value, in float32


def _assert_close(got, want, name):
    error = np.abs(np.asarray(got).reshape(want.shape) - want).max() / np.abs(want).max()
    assert error <= TOLERANCE, f"{name}: relative error {error:.1e}"


def _flipped(kernels):
    """The authors' are convolution kernels."""
    return np.asarray(kernels)[..., ::-1, ::-1]


@pytest.mark.parametrize(
    ("name", "variant"), [("dcls_x2_setting2", "_softmax"), drilled("dcls_x3", ""), ("dcls_x4_setting2", "")]
)
def test_image_and_kernel_of_dcls(reference, name, variant):
    golden = np.load(reference / "field" / f"{name}_io.npz")
    out = load(reference / "field" / f"{name}.pth")(golden["lr"], trace=True)
    _assert_close(_flipped(out.kernel), golden[f"kernel{variant}"], "kernel")
    _assert_close(out.trace.sr[0], golden[f"sr{variant}"], "sr")


def test_the_parts_of_dcls(reference):
    """Of the ×2 network without the softmax, which no official file asks for, and of an odd size."""
    golden, plain = (np.load(reference / "field" / f"dcls_x2_{name}.npz") for name in ("odd", "setting2_io"))
    model = load(reference / "field" / "dcls_x2_setting2.pth")
    network = model.module.clone(kernel_softmax=False)

    def kernel(variables, lr):
        bound = network.bind(variables)
        return bound.kernel_of(bound.pooled_of({"latent": bound.estimator.latent_map(lr)}))

    _assert_close(_flipped(jax.jit(kernel)(model.variables, plain["lr"])), plain["kernel"], "kernel without softmax")
    model = load(reference / "field" / "dcls_x2.pth")

    def parts(variables, lr):
        bound = model.module.bind(variables)
        restorer, pooled = bound.restorer, bound.pooled_of(bound.maps(lr))
        deconvolution, (_, features) = restorer.deconvolution, restorer.features_of(lr)
        return {
            "latent": bound.estimator.latent(pooled["latent"])[:, 0, 0],
            "plain": restorer.plain(features),
            "reduced": deconvolution.reduce(features),
            "smooth": deconvolution.smoothness_filters(pooled["smoothness"]),
            "deconvolved": deconvolution.deblurred(features, bound.kernel_of(pooled), pooled["smoothness"]),
        }

    for name, got in jax.jit(parts)(model.variables, golden["lr"]).items():
        _assert_close(got, golden[name], name)


def test_the_kernel_target_of_dcls(reference):
    golden = np.load(reference / "field" / "dcls_x4_train.npz")
    found = jax.jit(reformulated_kernel, static_argnums=2)(golden["lr_clean"], golden["lr_blurred"], 21)
    _assert_close(_flipped(found), golden["kernel_target"], "kernel target")
    lr = np.zeros_like(golden["lr"])  # noise and rounding do not count: the blurred image is made again
    targets = build("dcls", scale=4).targets(golden["hr"], Degraded(lr, golden["blur_kernel"]))
    _assert_close(_flipped(targets.kernel), golden["kernel_target"], "kernel target from the HR image")


@pytest.mark.parametrize("scale", [drilled(2), drilled(3), 4])
def test_image_and_representation_of_dasr(reference, scale):
    """The authors' images are 0 … 255."""
    golden, model = (
        np.load(reference / "field" / f"dasr_x{scale}_io.npz"),
        load(reference / "field" / f"dasr_x{scale}.pth"),
    )
    out = model(golden["lr"] / 255, trace=True)
    _assert_close(out.kernel_code, golden["representation"], "representation")
    _assert_close(255 * out.trace.sr[0], golden["sr"], "sr")
    assert out.kernel is None


@pytest.mark.parametrize("name", ["kerneldan_x2", "realdan_rrdb_x4"])
def test_every_step_of_kerneldan_and_realdan(reference, name):
    golden = np.load(reference / "field" / f"{name}_io.npz")
    out = load(reference / "field" / f"{name}.pth")(golden["lr"], iterations=len(golden["sr_steps"]), trace=True)
    _assert_close(out.trace.sr, golden["sr_steps"], "sr")
    _assert_close(out.trace.degradation, golden["deg_steps"], "degradation")
    _assert_close(out.trace.kernel_code, golden["deg_feature"], "features of the degradation")
    _assert_close(out.sr, golden["sr"], "last sr")
    _assert_close(out.degradation, golden["deg"], "last degradation")


@pytest.mark.parametrize("scale", [2, 4])
def test_kernels_of_kerneldan(reference, scale):
    golden = np.load(reference / "field" / "kerneldan_kernels.npz")
    kernels = jax.jit(build("kerneldan", scale=scale).kernel_of)(golden[f"deg_x{scale}"])
    np.testing.assert_allclose(kernels, golden[f"kernel_x{scale}"], atol=1e-6)


def _ikc(reference, tmp_path, sftmd, others):
    """The bundle that the command makes of three files and DANv1's basis, which is IKC's."""
    folder, bundle = reference / "field", tmp_path / "ikc.safetensors"
    np.save(tmp_path / "pca.npy", np.load(reference / "degradation.npz")["pca_v1_iso21"])
    files = [folder / f"{sftmd}_sftmd.pth", "--predictor", folder / f"{others}_predictor.pth"]
    files += ["--corrector", folder / f"{others}_corrector.pth", "--pca", tmp_path / "pca.npy", "-o", bundle]
    assert main(["convert", *map(str, files)]) == 0
    return load(bundle)


@pytest.mark.parametrize("scale", [drilled(2), drilled(3), 4])
def test_every_step_of_ikc(reference, tmp_path, scale):
    golden = np.load(reference / "field" / f"ikc_x{scale}_io.npz")
    model = _ikc(reference, tmp_path, f"ikc_x{scale}", f"ikc_x{scale}")
    out = model(golden["lr"], iterations=len(golden["sr"]), trace=True)
    _assert_close(out.trace.sr, golden["sr"], "sr")
    _assert_close(out.trace.kernel_code, golden["code"], "codes")
    _assert_close(out.sr, golden["sr"][-1], "last sr")
    first = jax.jit(lambda v, lr: model.module.bind(v).start(lr).code)(model.variables, golden["lr"])
    _assert_close(first, golden["code_predicted"], "predicted code")


def test_the_basis_of_ikc_can_be_computed(reference):
    published, computed = np.load(reference / "degradation.npz")["pca_v1_iso21"], computed_basis()
    np.testing.assert_allclose(computed, published, atol=3e-3)
    np.testing.assert_allclose((computed * published).sum(axis=0), 1, atol=3e-4)


def test_published_predictor_and_corrector_of_ikc(reference, tmp_path):
    """Their codes of photographs are in DANv1's basis: the predicted ones are near the true ones."""
    golden = np.load(reference / "field" / "ikc_x4_real.npz")
    model = _ikc(reference, tmp_path, "ikc_x4", "ikc_x4_real")
    lr, hr = (np.float32(golden[name]) / 255 for name in ("lr", "hr"))

    def codes(variables, lr, hr):
        bound = model.module.bind(variables)
        found = [bound.start(lr).code]
        for _ in range(2):
            found.append(bound.estimator(hr, found[-1]))
        return jnp.stack(found)

    found = jax.jit(codes)(model.variables, lr, hr)
    _assert_close(found[0], golden["code_predicted"], "predicted codes")
    _assert_close(found[1:], golden["code_with_hr"][:2], "corrected codes")
    true = golden["kernel"].reshape(len(hr), -1) @ model.pca_basis
    assert np.abs(found[0] - true).mean() < 0.3 * np.abs(true).mean()
