import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import ops
from blindsr_jax.networks.upsampling import Upsampler
from blindsr_jax.ops.convolution import convolve
from tests.conftest import drilled

AROUND = ((1, 1), (1, 1))
FACTORS = {2: (2,), 3: (3,), 4: (2, 2)}


def _one_by_one(params, x, scale):
    """Apply the convolutions as the published code does."""
    for i, r in enumerate(FACTORS[scale]):
        x = ops.pixel_shuffle(
            convolve(x, params[f"up{i}"]["kernel"], AROUND) + params[f"up{i}"]["bias"].reshape(1, 1, 1, -1), r
        )
    return convolve(x, params["out"]["kernel"], AROUND) + params["out"]["bias"].reshape(1, 1, 1, -1)


def _parameters(network, x):
    params = network.init(jax.random.key(0), x)["params"]
    return jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), params)


@pytest.mark.parametrize(
    ("scale", "size"),
    [(2, (16, 19)), (3, (5, 30)), (3, (3, 3)), (4, (24, 16)), (4, (1, 2))]
    + [drilled(2, size) for size in [(24, 16), (5, 30), (3, 3), (1, 2)]]
    + [drilled(3, size) for size in [(16, 19), (24, 16), (1, 2)]]
    + [drilled(4, size) for size in [(16, 19), (5, 30), (3, 3)]],
)
def test_the_composed_convolution_equals_the_chain(scale, size):
    """They are equal inside, at the border and in the corners, also for images too small for composition."""
    network, x = Upsampler(scale), jax.random.normal(jax.random.key(1), (2, *size, 6))
    params = _parameters(network, x)
    weights = jax.random.normal(jax.random.key(2), (2, scale * size[0], scale * size[1], 3))

    def of_ours(params, x):
        y = network.apply({"params": params}, x)
        return (weights * y).mean(), y

    def of_theirs(params, x):
        y = _one_by_one(params, x, scale)
        return (weights * y).mean(), y

    ours, theirs = (
        jax.jit(jax.value_and_grad(f, argnums=(0, 1), has_aux=True))(params, x) for f in (of_ours, of_theirs)
    )
    largest = float(jnp.abs(theirs[0][1]).max())
    np.testing.assert_allclose(ours[0][1], theirs[0][1], atol=2e-6 * largest)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ours[1], theirs[1])


@pytest.mark.usefixtures("compile_as_users")
def test_nothing_wide_is_computed_at_full_size():
    """A map of 64 channels at full size would take 64 MiB."""
    network, x = Upsampler(4), jnp.zeros((1, 128, 128, 64))
    variables = jax.eval_shape(network.init, jax.random.key(0), x)
    compiled = jax.jit(network.apply).lower(variables, x).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 24 * 2**20
