import dataclasses

import jax
import numpy as np
import pytest

import blindsr_jax
from blindsr_jax.errors import DataError, WeightsError
from blindsr_jax.inference.inputs import fit_kernel
from blindsr_jax.inference.loading import load, name_in_reports
from blindsr_jax.weights import zoo
from blindsr_jax.weights.bundle import load_bundle, save_bundle
from tests.inference.conftest import tiny_bundle


def _lr(batch=2):
    return np.random.default_rng(0).random((batch, 12, 14, 3), np.float32)


def test_call_as_the_contract_says(model):
    out = model(_lr(), iterations=3, trace=True)
    assert out.sr.shape == (2, 24, 28, 3)
    assert out.kernel.shape == (2, 11, 11)
    assert out.kernel_code.shape == (2, 10)
    assert out.trace.kernel_code.shape == (3, 2, 10)
    assert model(_lr()).trace is None


def test_a_kernel_may_be_single_or_per_image(model):
    kernel = np.full((5, 5), 1 / 25, np.float32)
    one, each = model(_lr(), kernel=kernel), model(_lr(), kernel=np.stack([kernel] * 2))
    np.testing.assert_allclose(one.sr, each.sr, atol=1e-6)
    np.testing.assert_allclose(one.kernel[0, 3:8, 3:8], 1 / 25, rtol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (np.ones((4, 4)), "odd side"),
        (np.ones((3, 5)), "odd side"),
        (np.zeros((3, 3)), "positive sum"),
        (np.full((3, 3), 1e38), "finite, positive sum"),
        (np.full((3, 3), np.nan), "finite"),
        (-np.ones((3, 3)), "positive sum"),
        (np.ones((21, 21)), "lies outside 11x11"),
    ],
)
def test_unusable_kernels_are_named(kernel, message):
    with pytest.raises(DataError, match=message):
        fit_kernel(kernel, 11)


def test_a_large_kernel_with_empty_margins_is_cropped():
    kernel = np.pad(np.eye(5), 8)
    np.testing.assert_allclose(fit_kernel(kernel, 11)[0], np.pad(np.eye(5) / 5, 3))


@pytest.mark.parametrize(
    ("lr", "options", "message"),
    [
        (_lr()[0], {}, r"\[B, H, W, 3\]"),
        (_lr()[..., :1], {}, r"\[B, H, W, 3\]"),
        (_lr(), {"iterations": 0}, "at least 1"),
    ],
)
def test_bad_calls_are_named(model, lr, options, message):
    with pytest.raises(DataError, match=message):
        model(lr, **options)


def _kinds():
    rng = np.random.default_rng(0)
    for channels in ((), (1,), (2,), (3,), (4,)):
        yield rng.integers(0, 256, (10, 12, *channels), np.uint8)
        yield rng.integers(0, 65536, (10, 12, *channels), np.uint16)
        yield rng.random((10, 12, *channels), np.float32)


@pytest.mark.parametrize("image", _kinds(), ids=lambda x: f"{x.dtype}{x.shape}")
def test_restore_keeps_the_kind_of_image(model, image):
    hr = model.restore(image)
    assert hr.shape == (20, 24, *image.shape[2:])
    assert hr.dtype == image.dtype
    unit = 1.0 if image.dtype == np.float32 else np.iinfo(image.dtype).max
    difference = hr[::2, ::2].astype(float) - image
    assert np.abs(difference).mean() / unit < 0.15  # it is that image, enlarged


def test_alpha_is_enlarged_smoothly(model):
    image = np.zeros((10, 12, 4), np.uint8)
    image[..., 3] = 255
    assert np.all(model.restore(image)[..., 3] == 255)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 5), np.uint8), "1 to 4"),
        (np.zeros((0, 4, 3), np.uint8), "1 to 4"),
        (np.zeros((2, 4, 4, 3), np.uint8), "1 to 4"),
        (np.zeros((4, 4, 3), np.int32), "uint8, uint16"),
        (np.full((4, 4, 3), np.nan, np.float32), "not finite"),
    ],
)
def test_bad_images_are_named(model, image, message):
    with pytest.raises(DataError, match=message):
        model.restore(image)


def test_a_precision_is_a_choice_that_stays(model):
    reduced = model.in_precision("bfloat16")
    assert reduced.fingerprint not in (model.fingerprint, reduced.in_precision("float32").fingerprint)
    assert reduced.in_precision("float32").fingerprint == model.fingerprint
    assert reduced.padded_to([(16, 16)]).fingerprint == reduced.fingerprint
    want, got, padded = model(_lr()), reduced(_lr()), reduced.padded_to([(16, 16)])(_lr())
    for near in (got, padded):
        assert near.sr.dtype == near.kernel.dtype == near.kernel_code.dtype == np.float32
        np.testing.assert_allclose(near.sr, want.sr, atol=0.01)
        np.testing.assert_allclose(near.kernel, want.kernel, atol=1e-3)
        assert np.any(near.sr != want.sr)
    with pytest.raises(DataError, match="float32 or bfloat16"):
        model.in_precision("float16")
    with pytest.raises(DataError, match="FixedGaussian computes in float32 only"):
        load("fixed-gaussian-x2").in_precision("bfloat16")


def test_load_by_path_and_by_name(tmp_path, monkeypatch):
    path = tmp_path / "tiny-x2.safetensors"
    save_bundle(path, tiny_bundle())
    image = (_lr(1)[0] * 255).astype(np.uint8)
    by_path = load(path).restore(image)
    monkeypatch.setattr(zoo, "PACKAGED", tmp_path)
    np.testing.assert_array_equal(blindsr_jax.load("tiny-x2").restore(image), by_path)
    assert list(blindsr_jax.models()) == ["tiny-x2"]
    assert blindsr_jax.models()["tiny-x2"].startswith("×2")
    assert load_bundle(path).model["scale"] == 2


def test_models_without_weights_are_there(tmp_path):
    for scale in (2, 3, 4):
        for kind in ("fixed-gaussian", "model-based"):
            model = load(f"{kind}-x{scale}")
            assert (model.scale, model.parameters, model.restores, model.downsample) == (scale, 0, False, "s_fold")
    names = [f"{kind}-x{scale}" for kind in ("fixed-gaussian", "model-based") for scale in (2, 3, 4)]
    assert len({load(name).fingerprint for name in names}) == 6
    out = load("fixed-gaussian-x2+dpir-tv")(_lr(1), iterations=1)
    assert out.kernel.shape == (1, 17, 17) and out.sr is not None
    with pytest.raises(DataError, match="FixedGaussian works in one pass"):
        load("fixed-gaussian-x2")(_lr(1), iterations=2)


def test_models_are_called_by_their_files(tmp_path):
    (tmp_path / "a+b.safetensors").write_text("")
    assert name_in_reports(tmp_path / "a+b.safetensors") == "a+b.safetensors"
    assert name_in_reports("x/run+dpir-tv") == "run+dpir-tv"


def test_unknown_models_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"expected .*\.safetensors bundle"):
        load("no-such-model")
    with pytest.raises(WeightsError, match="no such file"):
        load(tmp_path / "absent.safetensors")


def test_a_result_that_is_not_finite_is_refused(model, photo):
    huge = jax.tree.map(lambda x: np.full_like(x, 1e30), model.variables["params"])
    broken = dataclasses.replace(model, variables=model.variables | {"params": huge})
    with pytest.raises(DataError, match="result is not finite"):
        broken.restore(photo)
