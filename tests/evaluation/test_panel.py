"""Pictures of a model's results."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from blindsr_jax.evaluation import panel
from blindsr_jax.evaluation.protocols import anisotropic8, gaussian8
from blindsr_jax.evaluation.samples import synthetic_sample
from blindsr_jax.inference.loading import from_bundle
from blindsr_jax.pictures import grid
from tests.inference.conftest import tiny_bundle


@pytest.mark.parametrize("protocol", [gaussian8(2), anisotropic8(2)], ids=lambda protocol: protocol.name)
def test_captions_can_be_drawn(protocol, photo, monkeypatch):
    captions = []
    monkeypatch.setattr(
        panel, "panel", lambda lr, images, kernels: captions.extend(text for text, _ in images + kernels)
    )
    sample = synthetic_sample("a", photo, protocol, protocol.cases[3], 48)
    panel.unfolding_panel(from_bundle(tiny_bundle()), sample)
    assert len(captions) >= 4
    font = ImageFont.load_default()
    drawn = {character: bytes(font.getmask(character)) for character in set("".join(captions)) - {" "}}
    missing = bytes(font.getmask("\U0010ffff"))
    assert [character for character, pixels in drawn.items() if pixels == missing] == []
    assert bytes(font.getmask("σ")) == missing, "then the captions may have it"


def test_a_long_caption_stays_in_its_cell():
    cell = Image.new("RGB", (252, 30))
    alone, beside = (
        np.asarray(grid([(caption, cell), ("", cell)], cell.size))
        for caption in ("", "true kernel, width 1.80, noise 10, no JPEG")
    )
    changed = np.flatnonzero((alone != beside).any(axis=(0, 2)))
    assert 200 < changed.max() < 260
