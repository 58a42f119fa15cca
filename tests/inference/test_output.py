"""The textual and graphical views of models and their outputs."""

import io

import numpy as np
import pytest
from PIL import Image

import blindsr_jax
from blindsr_jax.inference.loading import from_bundle
from blindsr_jax.types import SROutput
from blindsr_jax.weights.bundle import Bundle
from tests.inference.conftest import tiny_bundle


@pytest.fixture(scope="module")
def batch():
    """Two images: one dark blue, one orange."""
    return np.stack([np.full((24, 32, 3), colour, np.float32) for colour in ((0.1, 0.1, 0.6), (0.9, 0.5, 0.1))])


def _share(picture, colour):
    """Count the pixels of a picture that are near a colour."""
    return (np.abs(np.asarray(picture, int) - np.array(colour) * 255) < 25).all(axis=-1).sum()


def test_a_panel_shows_lr_steps_and_kernels_of_the_image_asked_for(model, batch):
    out = model(batch, trace=True)
    steps = len(out.trace.sr)
    cells = 1 + steps  # in each the image covers 48×64 pixels, except for an untrained network's texture
    for i, colour in enumerate(batch[:, 0, 0]):
        picture = out.panel(i)
        assert _share(picture, colour) > 0.8 * cells * 48 * 64
        assert _share(picture, batch[1 - i, 0, 0]) < 100
    white = (np.asarray(out.panel().convert("L")) == 255).sum()
    assert white >= steps * (48 // 11) ** 2  # the largest weight of each kernel


def test_without_a_trace_it_shows_the_result(model, batch):
    out = model(batch)
    traced = model(batch, trace=True)
    assert out.panel().size[0] * out.panel().size[1] < traced.panel().size[0] * traced.panel().size[1]
    assert _share(out.panel(), batch[0, 0, 0]) > 0.8 * 2 * 48 * 64


def test_estimators_of_kernels_have_panels_too(batch):
    out = blindsr_jax.load("kernelnet-x2")(np.tile(batch, (1, 3, 3, 1)))
    assert out.sr is None
    assert min(out.panel().size) > 200


def test_notebooks_display_outputs(model, batch):
    out = model(batch)
    with Image.open(io.BytesIO(out._repr_png_())) as picture:
        assert picture.size == out.panel().size


def test_show_opens_the_panel(model, batch, monkeypatch):
    shown = []
    monkeypatch.setattr(Image.Image, "show", lambda picture: shown.append(picture))
    out = model(batch)
    out.show(1)
    np.testing.assert_array_equal(shown[0], out.panel(1))


def test_large_images_are_shrunk():
    out = SROutput(sr=np.zeros((1, 900, 1800, 3), np.float32))
    assert out.panel().width < 700


def test_outputs_and_models_say_what_they_are(model, batch):
    out = model(batch, trace=True)
    assert (
        repr(out)
        == f"SROutput(sr [2, 48, 64, 3], kernel [2, 11, 11], kernel_code [2, 10], trace of {len(out.trace.sr)} steps)"
    )
    bundle = tiny_bundle()
    described = Bundle(
        bundle.variables,
        bundle.model,
        {"protocol": "isotropic kernels, bicubic", "scores": {"gaussian8 ×2 Set5": 33.333}},
    )
    text = repr(from_bundle(described))
    for part in ("DAN ×2", "M parameters", "isotropic kernels, bicubic", "gaussian8 ×2 Set5 33.33 dB"):
        assert part in text
    assert len(repr(described)) < 300
