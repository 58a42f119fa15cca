"""Pictures of a model's results."""

import pytest
from PIL import ImageFont

from blindsr_jax.evaluation import panel
from blindsr_jax.evaluation.protocols import anisotropic8, gaussian8
from blindsr_jax.evaluation.samples import synthetic_sample
from blindsr_jax.inference.loading import from_bundle
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
