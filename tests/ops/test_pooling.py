import numpy as np
import pytest

from blindsr_jax.errors import InputError
from blindsr_jax.ops.pooling import bin_weights, pool


@pytest.mark.parametrize(("height", "width"), [(7, 11), (9, 6), (2, 1)])
def test_means_over_bins(height, width):
    x = np.random.default_rng(0).random((2, height, width, 3), np.float32)
    got = pool(x, bin_weights(height, 3), bin_weights(width, 3))
    for i in range(3):
        for j in range(3):
            rows = slice(int(np.floor(i * height / 3)), int(np.ceil((i + 1) * height / 3)))
            columns = slice(int(np.floor(j * width / 3)), int(np.ceil((j + 1) * width / 3)))
            np.testing.assert_allclose(got[:, i, j], x[:, rows, columns].mean(axis=(1, 2)), rtol=1e-5)


def test_parts_add_up_to_the_whole():
    parts = [bin_weights(13, 3, start=a, stop=b) for a, b in ((-2, 4), (4, 9), (9, 20))]
    np.testing.assert_allclose(sum(parts), bin_weights(13, 3), atol=1e-7)
    assert all((part.sum(axis=0) > 0).sum() == n for part, n in zip(parts, (4, 5, 4)))


def test_an_axis_without_pixels_is_refused():
    with pytest.raises(InputError, match="0 pixels"):
        bin_weights(0, 3)
