"""Same numbers as the originals, from the small files of ``tests/golden``: what a clone without other data can check.

Larger ones, of the authors' own code, are compared in the other files of this folder.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict
from PIL import Image

from blindsr_jax import degradations, load, losses, metrics
from blindsr_jax.inference.loading import from_bundle
from blindsr_jax.networks import build
from blindsr_jax.networks.chain import unstack_chains
from blindsr_jax.networks.dpir import noise_schedule
from blindsr_jax.training.step import supervised_loss
from blindsr_jax.types import Degraded, Estimate
from blindsr_jax.weights import official_ikc
from blindsr_jax.weights.official import bundle_of_state, load_official
from blindsr_jax.weights.torch_names import to_paths
from tests.golden.field import IKC, drawn

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
NETWORKS, OPERATORS = 2e-4, 2e-6  # of the largest value; absolute


def _golden(name):
    return np.load(GOLDEN / f"{name}.npz")


def _corner(x):
    return np.asarray(x)[..., :16, :16, :]


def _assert_close(got, want, name):
    error = np.abs(np.asarray(got).reshape(want.shape) - want).max() / np.abs(want).max()
    assert error <= NETWORKS, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize("name", ["danv1", "danv2", "dssr"])
def test_every_unfolded_step(name):
    golden = _golden(name)
    trace = load(GOLDEN / f"{name}.pth")(golden["lr"], trace=True).trace
    _assert_close(_corner(trace.sr), golden["sr"], "sr")
    if name == "dssr":
        _assert_close(_corner(trace.detail), golden["detail"], "detail")
    else:
        _assert_close(trace.kernel_code, golden["code"], "code")
    if name == "danv2":
        _assert_close(trace.kernel, golden["kernel"], "kernel")


def test_loss_gradients_and_their_norm():
    golden, model = _golden("danv1_gradient"), load(GOLDEN / "danv1.pth")
    degraded = Degraded(lr=jnp.asarray(golden["lr"]), kernel=jnp.asarray(golden["kernel"]))

    def loss(params):
        variables = {"params": params, "constants": model.variables["constants"]}
        hr = jnp.asarray(golden["hr"])
        return supervised_loss(model.module, variables, hr, degraded, loss=losses.code_supervision, supervise="last")

    (value, _), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(model.variables["params"])
    np.testing.assert_allclose(value, golden["loss"], rtol=1e-5)
    np.testing.assert_allclose(optax.global_norm(grads), golden["norm"], rtol=1e-4)
    wanted, unknown = to_paths("danv1", 1, {name[5:]: golden[name] for name in golden.files if name[:5] == "grad/"})
    assert len(wanted) == 4
    assert not unknown
    grads = flatten_dict(unstack_chains(grads), sep="/")
    for path, want in wanted.items():
        _assert_close(grads[path], want, path)


def _tensors(name):
    """The tensors by PyTorch's names in a golden file, or drawn as it says; and the rest of the file."""
    golden = _golden(name)
    if "shapes" in golden:
        return drawn(json.loads(str(golden["shapes"])), float(golden["gain"])), golden
    state = {key[6:]: golden[key] for key in golden.files if key.startswith("state/")}
    return {key: np.float32(x) if x.dtype == np.float16 else x for key, x in state.items()}, golden


def _model_of_tensors(name):
    state, golden = _tensors(name)
    return from_bundle(bundle_of_state(GOLDEN / f"{name}.npz", state)), golden


@pytest.mark.parametrize("name", ["kerneldan", "realdan"])
def test_every_step_of_kerneldan_and_realdan(name):
    model, golden = _model_of_tensors(name)
    trace = model(golden["lr"], iterations=3, trace=True).trace
    sr = trace.sr if name == "kerneldan" else _corner(trace.sr)
    _assert_close(sr, golden["sr"], "sr")
    _assert_close(trace.degradation, golden["degradation"], "degradation")


def test_every_step_of_ikc(monkeypatch, tmp_path):
    state, golden = _tensors("ikc")
    files = {part.lower(): tmp_path / part for part in IKC}
    for path in files.values():
        path.write_bytes(b"stands for the file that holds these tensors")

    def read(path):
        return {key.partition(".")[2]: x for key, x in state.items() if key.startswith(f"{path.name}.")}

    monkeypatch.setattr(official_ikc, "read_torch_checkpoint", read)
    np.save(tmp_path / "pca.npy", np.eye(25, 3, dtype=np.float32))  # no image depends on it
    model = from_bundle(official_ikc.load_official_ikc(**files, pca=tmp_path / "pca.npy"))
    trace = model(golden["lr"], iterations=3, trace=True).trace
    _assert_close(_corner(trace.sr), golden["sr"], "sr")
    _assert_close(trace.kernel_code, golden["code"], "codes")
    first = jax.jit(lambda v, lr: model.module.bind(v).start(lr).code)(model.variables, golden["lr"])
    _assert_close(first, golden["predicted"], "predicted code")


def test_dasr():
    model, golden = _model_of_tensors("dasr")
    out = model(golden["lr"])
    _assert_close(255 * out.sr, golden["sr"], "sr")
    _assert_close(out.kernel_code, golden["representation"], "representation")


def test_dcls():
    model, golden = _model_of_tensors("dcls")
    out = model(golden["lr"])
    _assert_close(out.sr, golden["sr"], "sr")
    _assert_close(out.kernel, golden["kernel"][:, ::-1, ::-1], "kernel")  # the authors' are convolution kernels


def test_loss_and_gradients_of_dcls():
    """Each part is trained by its own term of the loss alone."""
    model, golden = _model_of_tensors("dcls")[0], _golden("dcls_gradient")
    find_target = jax.jit(degradations.reformulated_kernel, static_argnums=2)
    target = golden["target"][:, ::-1, ::-1]
    _assert_close(find_target(golden["clean"], golden["blurred"], 11), target, "target")
    truth = Estimate(sr=jnp.asarray(golden["hr"]), kernel=jnp.asarray(target))

    def loss(params):
        variables = {"params": params, "constants": {}}
        steps = model.module.apply(variables, golden["lr"], method="training_steps")
        return losses.kernel_supervision(steps, truth)

    (_, parts), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(model.variables["params"])
    for part in ("loss_sr", "loss_kernel"):
        np.testing.assert_allclose(parts[part], golden[part], rtol=1e-4)
    for part in ("restorer", "estimator"):
        np.testing.assert_allclose(optax.global_norm(grads[part]), golden[f"norm_{part}"], rtol=1e-3)
    wanted, unknown = to_paths("dcls", 1, {name[5:]: golden[name] for name in golden.files if name[:5] == "grad/"})
    assert len(wanted) == 5
    assert not unknown
    grads = flatten_dict(unstack_chains(grads), sep="/")
    for path, want in wanted.items():
        np.testing.assert_allclose(grads[path], want, atol=1e-3 * np.abs(want).max(), err_msg=path)


@pytest.mark.parametrize("s", [2, 3, 4])
def test_usrnet(s):
    golden, bundle = _golden("usrnet"), load_official(GOLDEN / "usrnet.pth")
    kernel = jnp.asarray(golden["kernel"][:, ::-1, ::-1])  # the authors' are convolution kernels
    network = build(**bundle.model)
    restore = jax.jit(lambda v, lr: network.apply(v, lr, kernel=kernel, scale=s, sigma=0.01).sr)
    _assert_close(_corner(restore(bundle.variables, golden["lr"])), golden[f"sr_x{s}"], "sr")


def test_drunet_and_the_schedule_of_dpir():
    golden, bundle = _golden("drunet"), load_official(GOLDEN / "drunet.pth")
    denoise = jax.jit(build(**bundle.model).apply)
    _assert_close(denoise(bundle.variables, golden["x"], 0.1), golden["denoised"], "denoised")
    rho, level = noise_schedule(8, sigma=0.0, last=2.55 / 255)
    np.testing.assert_allclose(rho, golden["dpir_rhos"], rtol=OPERATORS)
    np.testing.assert_allclose(level, golden["dpir_sigmas"], rtol=OPERATORS)


def test_kernels():
    golden = _golden("kernels")
    got = degradations.isotropic_gaussian(golden["iso21_sigma"], 21)
    np.testing.assert_allclose(got, golden["iso21_kernel"], atol=OPERATORS)
    shape = [golden[f"aniso11_{name}"] for name in ("sigma_x", "sigma_y", "theta")]
    got = degradations.anisotropic_gaussian(*shape, 11, noise=golden["aniso11_noise"])
    np.testing.assert_allclose(got, golden["aniso11_kernel"], atol=OPERATORS)


@pytest.mark.parametrize("s", [2, 3, 4])
def test_degradation_is_that_of_pillow_away_from_the_border(s):
    """Pillow's bicubic has the same window as MATLAB's, which mirrors the image at its border."""
    hr = np.random.default_rng(s).random((24 * s, 30 * s, 3), np.float32)
    lr = degradations.degrade(jax.random.key(0), hr[None], scale=s, kernel=_dirac(), round_8bit=False).lr[0]
    for colour in range(3):
        want = Image.fromarray(hr[..., colour]).resize((30, 24), Image.Resampling.BICUBIC)
        np.testing.assert_allclose(lr[3:-3, 3:-3, colour], np.asarray(want)[3:-3, 3:-3], atol=OPERATORS)


def _dirac():
    return jnp.zeros((1, 5, 5)).at[0, 2, 2].set(1.0)


def test_psnr_and_ssim_are_those_of_the_definition(photo):
    """On luma and colours, without the border; SSIM by plain loops over its windows."""
    noisy = np.uint8(np.clip(photo[:32, :40] + np.random.default_rng(0).normal(0, 12, (32, 40, 3)), 0, 255))
    a, b = (np.float64(image[2:-2, 2:-2]) for image in (photo[:32, :40], noisy))
    assert metrics.psnr(photo[:32, :40], noisy, 2, "rgb") == pytest.approx(
        10 * np.log10(255**2 / ((a - b) ** 2).mean())
    )
    luma = [16 + image @ [65.481, 128.553, 24.966] / 255 for image in (a, b)]
    assert metrics.psnr(photo[:32, :40], noisy, 2) == pytest.approx(
        10 * np.log10(255**2 / np.square(luma[0] - luma[1]).mean())
    )
    assert metrics.ssim(photo[:32, :40], noisy, 2) == pytest.approx(_ssim(*luma), abs=1e-6)
    each = [_ssim(a[..., colour], b[..., colour]) for colour in range(3)]
    assert metrics.ssim(photo[:32, :40], noisy, 2, "rgb") == pytest.approx(np.mean(each), abs=1e-6)


def _ssim(a, b):
    """Wang et al. 2004: 11×11 Gaussian windows of deviation 1.5 that lie inside the image."""
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
            m, n = (window * p).sum(), (window * q).sum()
            v, w = (window * p**2).sum() - m**2, (window * q**2).sum() - n**2
            c = (window * p * q).sum() - m * n
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            values.append((2 * m * n + c1) * (2 * c + c2) / ((m**2 + n**2 + c1) * (v + w + c2)))
    return np.mean(values)


def test_the_golden_files_stay_small():
    assert sum(path.stat().st_size for path in GOLDEN.iterdir() if path.is_file()) < 740_000
