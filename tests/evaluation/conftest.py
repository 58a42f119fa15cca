import pytest

from blindsr_jax.inference.loading import from_bundle
from tests.inference.conftest import tiny_bundle


class Images:
    """A source of given arrays."""

    def __init__(self, *images):
        self._images = images
        self.names = [f"im{i}.png" for i in range(len(images))]

    def __len__(self):
        return len(self._images)

    def read(self, index):
        return self._images[index]


@pytest.fixture(scope="module")
def model():
    return from_bundle(tiny_bundle(4))
