"""Random arrays that are drawn as matrices."""

import jax
import numpy as np
import pytest

from blindsr_jax.ops.draws import normal, truncated_normal, uniform


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 5), (3, 4, 5), (2, 3, 4, 5)])
def test_they_are_the_numbers_of_jax(shape, kind):
    key = jax.random.key(7, impl=kind)
    np.testing.assert_array_equal(normal(key, shape), jax.random.normal(key, shape))
    np.testing.assert_array_equal(uniform(key, shape, minval=-2), jax.random.uniform(key, shape, minval=-2))
    drawn = truncated_normal(key, -2, 1, shape)
    np.testing.assert_array_equal(drawn, jax.random.truncated_normal(key, -2, 1, shape))
    assert drawn.shape == shape
