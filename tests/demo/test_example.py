"""The finished example of the page is what the default model makes."""

import numpy as np
import pytest
from PIL import Image

from blindsr_jax.metrics import psnr
from tests.demo import example


@pytest.mark.slow
def test_the_example_is_that_of_the_default_model():
    before, after, truth = example.made()
    for name, image in (("before", before), ("after", after)):
        with Image.open(example.FOLDER / f"{name}.jpg") as file:
            assert psnr(np.asarray(file), image, 4) > 34, f"{name}: run python -m tests.demo.example"
    assert psnr(after, truth, 4) > psnr(before, truth, 4) + 0.5
