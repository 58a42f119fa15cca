"""Initial parameters, and parameters that are given."""

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.networks.layers import conv
from blindsr_jax.networks.parameters import he_normal, lecun_normal, torch_uniform

_OF_FLAX = {
    torch_uniform: nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
    he_normal: nn.initializers.he_normal(),
    lecun_normal: nn.initializers.lecun_normal(),
}


@pytest.mark.parametrize("shape", [(3, 3, 8, 4), (6, 5)])
@pytest.mark.parametrize("initial", _OF_FLAX)
def test_initial_parameters_are_those_of_flax(initial, shape):
    key = jax.random.key(3)
    np.testing.assert_array_equal(initial(key, shape), _OF_FLAX[initial](key, shape))


def test_torch_uniform_ends_at_one_over_the_root_of_its_inputs():
    drawn = torch_uniform(jax.random.key(0), (3, 3, 16, 64))
    assert 0.999 / 12 < np.abs(drawn).max() <= 1 / 12


def test_a_parameter_that_is_given_is_not_initialised():
    def initial(*_):
        raise AssertionError("initialised")

    x, given = jnp.ones((1, 4, 4, 2)), {"kernel": jnp.ones((1, 1, 2, 3)), "bias": jnp.zeros(3)}
    np.testing.assert_array_equal(conv(3, 1, kernel_init=initial).apply({"params": given}, x), np.full((1, 4, 4, 3), 2))


def test_a_parameter_of_another_shape_is_named():
    x, given = jnp.ones((1, 4, 4, 2)), {"kernel": jnp.ones((3, 3, 2, 3)), "bias": jnp.zeros(3)}
    with pytest.raises(flax.errors.ScopeParamShapeError, match="kernel"):
        conv(3, 1).apply({"params": given}, x)


def test_a_missing_parameter_is_named():
    with pytest.raises(flax.errors.ScopeParamNotFoundError, match="bias"):
        conv(3, 1).apply({"params": {"kernel": jnp.ones((1, 1, 2, 3))}}, jnp.ones((1, 4, 4, 2)))
