import math

import flax.linen as nn
import jax
import numpy as np
import pytest

from blindsr_jax.networks.chain import Chain
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.layers import ConvTranspose, ResidualBlock


@pytest.mark.parametrize(("size", "padding", "stride"), [(4, 1, 2), (5, 1, 3), (4, 0, 4), (3, 1, 1)])
def test_transposed_convolution_by_phases_is_the_dilated_one(size, padding, stride):
    ours = ConvTranspose(5, size, padding, stride)
    flax = nn.ConvTranspose(5, (size, size), strides=(stride, stride), padding=[(size - 1 - padding,) * 2] * 2)
    x = jax.random.normal(jax.random.key(0), (2, 6, 7, 3))
    variables = flax.init(jax.random.key(1), x)
    variables["params"]["bias"] += jax.random.normal(jax.random.key(2), (5,))
    y = flax.apply(variables, x)
    assert y.shape[1] == (6 - 1) * stride - 2 * padding + size
    np.testing.assert_allclose(ours.apply(variables, x), y, atol=1e-5)
    weights = jax.random.normal(jax.random.key(3), y.shape)

    def gradients(layer):
        return jax.grad(lambda v, x: (layer.apply(v, x) * weights).sum(), (0, 1))(variables, x)

    for got, want in zip(jax.tree.leaves(gradients(ours)), jax.tree.leaves(gradients(flax))):
        np.testing.assert_allclose(got, want, atol=1e-3, rtol=1e-4)
    shapes = jax.tree.map(np.shape, ours.init(jax.random.key(0), x))
    assert shapes == jax.tree.map(np.shape, variables)


def test_other_output_sizes_are_refused():
    with pytest.raises(ValueError, match="size 3 is not stride 2"):
        ConvTranspose(5, 3, 0, 2).init(jax.random.key(0), np.zeros((1, 4, 4, 3)))


def test_what_is_recomputed_changes_what_is_stored_and_not_the_gradient():
    """Ten blocks form groups of at most four, and the last group is smaller."""
    x = jax.random.normal(jax.random.key(0), (1, 48, 48, 36))
    variables = Chain(ResidualBlock, 10).init(jax.random.key(1), x)

    def backward_of(remat):
        chain = Chain(ResidualBlock, 10, Compute(remat=remat))

        def backward(variables, x):
            """Return the backward pass, a tree of the values stored for it in the forward pass."""
            return jax.vjp(lambda v, x: (chain.apply(v, x) ** 2).mean(), variables, x)[1]

        return backward

    gradients, stored = {}, {}
    for remat in ("nothing", "activations", "blocks"):
        backward = backward_of(remat)
        gradients[remat] = jax.jit(lambda v, x, backward=backward: backward(v, x)(np.float32(1)))(variables, x)
        shapes = [leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(backward, variables, x))]
        stored[remat] = sum(math.prod(shape) for shape in shapes if shape[-3:-1] == x.shape[1:3])
    # Activations: the input, and two convolutions per block. Blocks: the inputs of the three groups.
    assert stored["activations"] == 21 * x.size and stored["blocks"] <= 4 * x.size
    assert stored["nothing"] > 1.1 * stored["activations"]
    for remat in ("activations", "blocks"):
        for got, want in zip(*map(jax.tree.leaves, (gradients[remat], gradients["nothing"]))):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
