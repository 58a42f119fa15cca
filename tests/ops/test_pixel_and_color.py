import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import ops


@pytest.mark.parametrize("r", [2, 3, 4])
def test_pixel_shuffle_follows_the_definition(r):
    x = np.arange(2 * 3 * 4 * 5 * r * r, dtype=np.float32).reshape(2, 3, 4, 5 * r * r)
    got = ops.pixel_shuffle(jnp.asarray(x), r)
    assert got.shape == (2, 3 * r, 4 * r, 5)
    for h, w, c, i, j in [(0, 0, 0, 0, 1), (2, 3, 4, 1, 0), (1, 2, 3, r - 1, r - 1)]:
        assert got[1, h * r + i, w * r + j, c] == x[1, h, w, c * r * r + i * r + j]


def test_pixel_shuffle_names_a_wrong_channel_count():
    with pytest.raises(ValueError, match="multiple of 4"):
        ops.pixel_shuffle(jnp.zeros((1, 2, 2, 6)), 2)


def test_luma_of_the_primaries():
    primaries = np.eye(3)[None]
    np.testing.assert_allclose(ops.rgb_to_y(primaries)[0, :, 0], [81.481, 144.553, 40.966])
    np.testing.assert_allclose(ops.rgb_to_y(np.zeros((1, 3))), 16)
    with pytest.raises(ValueError, match="three channels"):
        ops.rgb_to_y(np.zeros((4, 4, 1)))


def test_rounding_hits_the_grid_and_clips():
    x = jnp.asarray([-0.3, 0.0, 0.4999 / 255, 0.5001 / 255, 0.71, 1.2])
    np.testing.assert_allclose(ops.round_to_8bit(x) * 255, [0, 0, 0, 1, 181, 255])
