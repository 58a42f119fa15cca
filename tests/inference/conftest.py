import functools

import jax
import numpy as np
import pytest

from blindsr_jax.inference.loading import from_bundle
from blindsr_jax.networks import build, init_variables
from blindsr_jax.weights.bundle import Bundle


@functools.cache
def _tiny(scale):
    """Sizes of an untrained small DAN, and its variables."""
    sizes = {"name": "danv1", "scale": scale, "blocks": 1, "features": 4, "upsampler": "single", "skip": "nearest"}
    sizes |= {"kernel_size": 11, "estimator_features": 4, "estimator_blocks": 1}
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(121, 10)))[0].astype(np.float32)
    network = build(**sizes)
    return sizes, jax.jit(lambda key: init_variables(network, key, basis))(jax.random.key(0, impl="rbg"))


def tiny_bundle(scale=2):
    """An untrained small DAN; its nearest-neighbour skip keeps the image recognisable."""
    sizes, variables = _tiny(scale)
    variables = jax.tree.map(np.array, variables)  # of the caller's own
    out = variables["params"]["restorer"]["upscale"]["out"]
    out["kernel"] = out["kernel"] * 0.05  # a faint texture on top of the enlarged image
    return Bundle(variables, dict(sizes))


@pytest.fixture(scope="session")
def model():
    return from_bundle(tiny_bundle())
