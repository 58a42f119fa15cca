"""Small networks of each kind that can be exported."""

import functools

import jax
import numpy as np

from blindsr_jax.inference.loading import model_of
from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.chain import stack_chains

DAN = {"features": 4, "blocks": 2, "estimator_features": 4, "estimator_blocks": 1, "iterations": 2, "kernel_size": 9}
DAN["code_length"] = 3
SMALL = {
    "compact DAN": {
        **DAN,
        "name": "danv1",
        "scale": 3,
        "upsampler": "single",
        "skip": "bicubic",
        "conditions": ("noise", "jpeg"),
    },
    "DANv1": {**DAN, "name": "danv1", "scale": 4},
    "DANv2": {**DAN, "name": "danv2", "scale": 2, "groups": 1},
    "DSSR": {"name": "dssr", "scale": 2, "features": 4, "blocks": 1, "refine_blocks": 1, "iterations": 1},
    "KernelNet": {"name": "kernelnet", "scale": 2, "width": 4, "refine_features": 4},
}


@functools.cache
def small(kind, **changes):
    """A model with random weights."""
    module = build(**SMALL[kind] | changes)
    basis = None
    if module.code_basis_length:
        basis = np.linalg.qr(np.random.default_rng(0).normal(size=(81, 3)))[0].astype(np.float32)
    variables = jax.jit(lambda key: init_variables(module, key, basis))(jax.random.key(0, impl="rbg"))
    return model_of(module, jax.device_put(stack_chains(variables)))


def images(height, width, batch=1):
    """LR images in NHWC."""
    return np.random.default_rng(height * width).random((batch, height, width, 3), np.float32)
