import json

import numpy as np
import pytest

from blindsr_jax import metrics


def test_golden(reference):
    images = np.load(reference / "metrics.npz")["images"]
    rows = json.loads((reference / "metrics.json").read_text())
    assert len(rows) >= 12
    for row in rows:
        a, b = images[2 * row["pair"]], images[2 * row["pair"] + 1]
        for channel in ("y", "rgb"):
            assert metrics.psnr(a, b, row["border"], channel) == pytest.approx(row[f"psnr_{channel}"], abs=1e-6)
            assert metrics.ssim(a, b, row["border"], channel) == pytest.approx(row[f"ssim_{channel}"], abs=1e-6)


def _image(seed=0, size=(20, 24, 3)):
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


def test_equal_images_are_perfect_and_order_does_not_matter():
    a, b = _image(0), _image(1)
    assert metrics.psnr(a, a, 2) == float("inf")
    assert metrics.ssim(a, a, 2) == pytest.approx(1)
    assert metrics.psnr(a, b, 2) == metrics.psnr(b, a, 2)


def test_one_level_of_grey_is_48_decibels():
    a = np.full((16, 16, 3), 100, np.uint8)
    assert metrics.psnr(a, a + 1, 0, "rgb") == pytest.approx(20 * np.log10(255))


def test_the_border_is_not_looked_at():
    a, b = _image(), _image()
    b[:3] = 0
    assert metrics.psnr(a, b, 3) == float("inf")
    assert metrics.psnr(a, b, 2) < 40


@pytest.mark.parametrize(
    ("a", "b", "border", "message"),
    [
        (_image(), _image(size=(20, 20, 3)), 2, "one size"),
        (_image() / 255, _image(), 2, "uint8"),
        (_image(), _image(), 10, "leaves nothing"),
        (_image()[..., 0], _image()[..., 0], 0, r"\[H, W, 3\]"),
    ],
)
def test_bad_images_are_named(a, b, border, message):
    with pytest.raises(ValueError, match=message):
        metrics.psnr(a, b, border)


def test_ssim_wants_a_whole_window():
    with pytest.raises(ValueError, match="11x11"):
        metrics.ssim(_image(), _image(), 6)


def test_kernel_errors():
    kernel = np.zeros((5, 5))
    kernel[2, 2] = 1
    shifted = np.roll(kernel, 1, axis=0)
    assert metrics.kernel_l1(kernel, kernel) == 0
    assert metrics.kernel_l1(kernel, shifted) == 2
    assert metrics.kernel_l1(np.pad(kernel, 3), kernel) == 0
    assert metrics.code_l1([1.0, 2.0], [0.0, 4.0]) == 3
