import numpy as np
import pytest

from blindsr_jax import ops
from blindsr_jax.degradations import apply_degradation
from blindsr_jax.inference import self_ensemble
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.types import SROutput

RNG = np.random.default_rng(0)


def test_orientations_are_eight_and_turned_back():
    x = RNG.uniform(size=(2, 5, 7, 3)).astype(np.float32)
    turned = [np.asarray(self_ensemble.turned(x, i, rows=-3)) for i in range(8)]
    assert len({image.tobytes() for image in turned}) == 8
    assert {image.shape for image in turned} == {(2, 5, 7, 3), (2, 7, 5, 3)}
    for i, image in enumerate(turned):
        np.testing.assert_array_equal(self_ensemble.turned_back(image, i, rows=-3), x)


def test_a_blur_by_the_turned_kernel_is_the_turned_blur():
    x = RNG.uniform(size=(1, 9, 13, 3)).astype(np.float32)
    kernel = RNG.uniform(size=(1, 5, 5)).astype(np.float32)
    for i in range(8):
        got = ops.blur(self_ensemble.turned(x, i, rows=-3), self_ensemble.turned(kernel, i, rows=-2))
        np.testing.assert_allclose(self_ensemble.turned_back(got, i, rows=-3), ops.blur(x, kernel), atol=1e-5)


def test_the_mean_of_eight(model):
    image = RNG.integers(0, 256, (12, 15, 3), np.uint8)
    unit = np.float32(image)[None] / 255
    out = self_ensemble.average_of_eight(model, unit)
    by_hand = []
    for flipped in (unit, unit[:, :, ::-1]):
        for quarter in range(4):
            sr = model(np.rot90(flipped, quarter, axes=(1, 2))).sr
            back = np.rot90(sr, -quarter, axes=(1, 2))
            by_hand.append(back if flipped is unit else back[:, :, ::-1])
    np.testing.assert_allclose(out.sr, np.mean(by_hand, axis=0), atol=1e-5)
    assert out.kernel_code.shape == (1, 10)
    np.testing.assert_allclose(out.kernel.sum(), 1, rtol=1e-4)
    restored = restore_image(model, image, self_ensemble=True)
    np.testing.assert_array_equal(restored.image, np.round(np.clip(out.sr[0], 0, 1) * 255).astype(np.uint8))
    assert np.any(restored.image != restore_image(model, image).image)


@pytest.mark.parametrize("scale", [2])
def test_a_model_that_follows_turns_is_unchanged(scale):
    """Blur and bicubic downsampling commute with turning image and kernel, so the mean equals each result."""

    class Blurs:
        pca_basis = None
        downsample = "bicubic"

        def __call__(self, lr, *, kernel, iterations, image_only):
            return SROutput(sr=apply_degradation(lr, kernel, scale=scale), kernel=kernel)

    x = RNG.uniform(size=(1, 16, 12, 3)).astype(np.float32)
    kernel = RNG.uniform(size=(1, 5, 5)).astype(np.float32)
    out = self_ensemble.average_of_eight(Blurs(), x, kernel=kernel)
    np.testing.assert_allclose(out.sr, apply_degradation(x, kernel, scale=scale), atol=1e-5)
    np.testing.assert_allclose(out.kernel, kernel, rtol=1e-6)
