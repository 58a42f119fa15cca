import jax
import numpy as np
import pytest

from blindsr_jax import degradations, load
from blindsr_jax.cli import main
from blindsr_jax.errors import DataError, WeightsError
from blindsr_jax.inference.loading import model_of
from blindsr_jax.inference.padded_shapes import padded, valid_size_of
from blindsr_jax.inference.programs import estimate_from_patches
from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.region import Region
from blindsr_jax.weights import official_ikc
from blindsr_jax.weights.torch_reader import read_torch_checkpoint
from tests.conftest import drilled

PARTS = ("sftmd", "predictor", "corrector")


@pytest.fixture(scope="module")
def model():
    """Random weights; those of codes are larger, so that all parts matter."""
    sizes = {"features": 8, "blocks": 1, "predictor_features": 8, "corrector_features": 8, "code_length": 4}
    network, rng = build("ikc", scale=2, kernel_size=11, iterations=3, **sizes), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))["params"]
    params = jax.tree.map(lambda x: np.float32(rng.normal(size=x.shape) / np.prod(x.shape[:-1]) ** 0.5), shapes)
    widths = np.linspace(0.5, 2.5, 20, dtype=np.float32)
    basis = degradations.pca_basis(degradations.isotropic_gaussian(widths, 11), 4)
    return model_of(network, {"params": params, "constants": {"pca_basis": basis}})


def _images(height, width, batch=1, seed=2):
    return np.random.default_rng(seed).random((batch, height, width, 3), np.float32)


@pytest.mark.parametrize(("scale", "millions"), [drilled(2, 4.09), drilled(3, 4.27), (4, 4.23)])
def test_full_size(scale, millions):
    """The numbers of parameters of DAN's copy of SFTMD, whose 16 blocks are equal, and of both estimators."""

    def counts(blocks):
        network = build("ikc", scale=scale, blocks=blocks)
        params = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))["params"]
        return {part: sum(np.prod(x.shape) for x in jax.tree.leaves(params[part])) for part in params}

    one, two = counts(1), counts(2)
    assert round((one["restorer"] + 15 * (two["restorer"] - one["restorer"])) / 1e6, 2) == millions
    assert (one["predictor"], one["estimator"]) == (430_730, 649_930)


@pytest.mark.drill
def test_padded_images_get_the_numbers_that_they_get_alone(model):
    """At odd sizes, which strides of two halve upwards: those of the LR image and of the restored image."""
    lr = _images(13, 19, batch=2)
    alone, wide = model(lr), model.padded_to([(24, 32)])(lr)
    for name in ("sr", "kernel", "kernel_code"):
        want = getattr(alone, name)
        np.testing.assert_allclose(getattr(wide, name), want, atol=1e-5 * np.abs(want).max(), err_msg=name)


@pytest.mark.parametrize("iterations", [1, drilled(3)])
def test_tiles_share_the_code_of_the_step_before_the_last(model, iterations):
    """Found in padded patches. If an image is its only patch, all is as in the image, also at odd sizes."""
    image = _images(13, 19)
    region = Region(valid_size_of(image), np.int32([[0, 13, 0, 19]]))
    patches = model.module, model.variables, padded((24, 32), image), region, {}
    kernel, code, last_code, _ = estimate_from_patches(*patches, iterations=iterations)
    want = model(image, iterations=iterations)
    np.testing.assert_allclose(kernel, want.kernel, atol=1e-6)
    np.testing.assert_allclose(code, want.kernel_code, rtol=1e-4)
    before = model(image, iterations=iterations - 1).kernel_code if iterations > 1 else _predicted(model, image)
    np.testing.assert_allclose(last_code, before, rtol=1e-4)


def _predicted(model, lr):
    return jax.jit(lambda v, lr: model.module.bind(v).start(lr).code)(model.variables, lr)


def test_what_it_cannot_do_is_refused(model):
    with pytest.raises(DataError, match="float32 only"):
        model.in_precision("bfloat16")


@pytest.fixture
def files(reference, tmp_path):
    """Checkpoints of the three networks, and a basis."""
    np.save(tmp_path / "pca.npy", np.random.default_rng(0).normal(size=(441, 10)).astype(np.float32))
    return {part: reference / "field" / f"ikc_x3_{part}.pth" for part in PARTS} | {"pca": tmp_path / "pca.npy"}


def test_files_that_are_not_an_ikc_together(files, reference, tmp_path, capsys):
    def read(**changes):
        return official_ikc.load_official_ikc(**files | changes)

    with pytest.raises(WeightsError, match="is one of the three files of an IKC"):
        load(files["sftmd"])
    with pytest.raises(WeightsError, match="not those of IKC's Predictor"):
        read(predictor=files["corrector"])
    with pytest.raises(WeightsError, match="not those of IKC's Corrector"):
        read(corrector=files["predictor"])
    with pytest.raises(WeightsError, match="there is no such file"):
        read(pca="dan")
    with pytest.raises(WeightsError, match="where a tensor is expected"):
        read(pca=files["predictor"])
    command = ["convert", str(files["sftmd"]), "--pca", str(files["pca"]), "-o", str(tmp_path / "ikc.safetensors")]
    assert main(command) != 0
    assert "an IKC is SFTMD.pth, --predictor, --corrector and --pca, all four" in capsys.readouterr().err


def test_every_tensor_of_the_files_must_fit(files, monkeypatch):
    states = {files[part]: read_torch_checkpoint(files[part]) for part in PARTS}

    def read(part, changes, without=()):
        changed = {name: x for name, x in (states[files[part]] | changes).items() if name not in without}
        monkeypatch.setattr(
            official_ikc, "read_torch_checkpoint", lambda path: dict(states | {files[part]: changed})[path]
        )
        return official_ikc.load_official_ikc(**files)

    extra = np.zeros((1, 1, 3, 3), np.float32)
    bundle = read("sftmd", {"sft_branch.0.sft1.mul_conv1.weight": extra})
    assert bundle.model["corrector_features"] == 16
    assert set(bundle.metadata["source"]) == {"file", "sha256", "predictor", "corrector", "pca"}
    with pytest.raises(WeightsError, match=r"SFTMD\.extra\.weight has no place"):
        read("sftmd", {"extra.weight": extra})
    with pytest.raises(WeightsError, match=r"predictor/conv3/bias of shape .* is missing"):
        read("predictor", {}, without=["ConvNet.6.bias"])
    with pytest.raises(WeightsError, match=r"estimator/joint3/bias has shape"):
        read("corrector", {"global_dense.4.bias": np.zeros(9, np.float32)})


def test_a_basis_in_a_file_of_its_own_or_computed(files, monkeypatch):
    bundle = official_ikc.load_official_ikc(**files | {"pca": "ikc"})
    np.testing.assert_array_equal(bundle.variables["constants"]["pca_basis"], official_ikc.computed_basis())
    assert (bundle.model["kernel_size"], bundle.metadata["source"]["pca"]) == (21, "ikc")
    basis = np.random.default_rng(0).normal(size=(121, 10)).astype(np.float32)
    path = files["sftmd"]  # stands for the file that holds the basis

    def read(basis):
        monkeypatch.setattr(official_ikc, "read_torch_tensor", lambda path: basis)
        return official_ikc.load_official_ikc(**files | {"pca": path})

    bundle = read(basis)
    np.testing.assert_array_equal(bundle.variables["constants"]["pca_basis"], basis)
    assert (bundle.model["kernel_size"], bundle.metadata["source"]["pca"]) == (11, path.name)
    with pytest.raises(WeightsError, match=r"codes of length 9, those of .* have 10"):
        read(basis[:, :9])
    with pytest.raises(WeightsError, match="is no PCA basis of kernels"):
        read(basis[:120])
