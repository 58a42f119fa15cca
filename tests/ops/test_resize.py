import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import ops
from blindsr_jax.images.reading import read_rgb
from blindsr_jax.ops.resize import (
    imresize_rows,
    interpolate_bicubic,
    move_to_upper_left,
    resize_matrix,
    upsample_nearest,
)


def _random(*shape, seed=0):
    return jax.random.uniform(jax.random.key(seed), shape)


@pytest.mark.parametrize("s", [2, 3, 4])
def test_golden(reference, s):
    golden = np.load(reference / "degradation.npz")
    hr = jnp.float32(golden["hr"]) / 255
    np.testing.assert_allclose(ops.imresize(hr, 1 / s), golden[f"bicubic_down_x{s}"], atol=2e-6)
    np.testing.assert_allclose(ops.imresize(hr[:1, :24, :36], s), golden[f"bicubic_up_x{s}"], atol=2e-6)


@pytest.mark.parametrize("scale", [1 / 4, 1 / 3, 0.4, 0.7, 1, 1.5, 2, 3])
@pytest.mark.parametrize("length", [7, 12, 25])
def test_rows_sum_to_one_and_mirror_themselves(scale, length):
    matrix = resize_matrix(length, scale)
    assert matrix.shape == (int(np.ceil(round(length * scale, 6))), length)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    if (length * scale) % 1 == 0:
        np.testing.assert_allclose(matrix[::-1, ::-1], matrix, atol=1e-12)


def test_scale_one_is_the_identity_and_a_ramp_stays_a_ramp():
    x = _random(1, 9, 11, 2)
    np.testing.assert_allclose(ops.imresize(x, 1), x, atol=1e-6)
    ramp = jnp.broadcast_to(jnp.arange(32.0)[None, :, None, None], (1, 32, 16, 1))
    steps = jnp.diff(ops.imresize(ramp, 1 / 2)[0, 4:-4, 0, 0])
    np.testing.assert_allclose(steps, 2, atol=1e-4)


def test_samples_sit_at_pixel_centres():
    """Halving a ramp gives the means of pairs, without a half-pixel shift."""
    ramp = jnp.broadcast_to(jnp.arange(32.0)[None, None, :, None], (1, 16, 32, 1))
    np.testing.assert_allclose(ops.imresize(ramp, 1 / 2)[0, 5, 4:-4, 0], np.arange(4, 12) * 2 + 0.5, atol=1e-4)


def test_gradient_is_the_transpose():
    x, y = _random(1, 12, 9, 1), _random(1, 4, 3, 1, seed=1)
    down, pullback = jax.vjp(lambda x: ops.imresize(x, 1 / 3), x)
    np.testing.assert_allclose(jnp.vdot(down, y), jnp.vdot(x, pullback(y)[0]), rtol=1e-5)


@pytest.mark.parametrize("s", [2, 3, 4])
def test_eight_bit_form_equals_matlab_on_every_pixel(benchmarks, s):
    folder = benchmarks / "Set5_matlab_bicubic" / f"x{s}"
    files = sorted((folder / "HR").iterdir())
    assert len(files) == 5
    for path in files:
        lr = read_rgb(folder / "LR" / path.name)
        np.testing.assert_array_equal(ops.imresize_8bit(read_rgb(path), 1 / s), lr, err_msg=path.name)


def test_eight_bit_form_wants_eight_bits():
    with pytest.raises(ValueError, match="uint8"):
        ops.imresize_8bit(np.zeros((4, 4)), 0.5)


@pytest.mark.parametrize("s", [1, 2, 3, 4])
def test_s_fold_keeps_the_upper_left_and_is_adjoint(s):
    x, y = _random(2, 12, 24, 3), _random(2, 12 // s, 24 // s, 3, seed=1)
    down = ops.s_fold_down(x, s)
    assert down[0, 1, 2, 0] == x[0, s, 2 * s, 0]
    np.testing.assert_allclose(jnp.vdot(down, y), jnp.vdot(x, ops.s_fold_up(y, s)), rtol=1e-5)
    np.testing.assert_array_equal(ops.s_fold_down(ops.s_fold_up(y, s), s), y)


@pytest.mark.parametrize("scale", [0, -1, float("nan")])
def test_scale_must_be_positive(scale):
    with pytest.raises(ValueError, match="positive"):
        ops.imresize(jnp.zeros((1, 4, 4, 1)), scale)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(5, 9), (20, 33), (7, 11)])
def test_interpolation_equals_pytorchs(size, align_corners):
    torch = pytest.importorskip("torch")
    x = _random(2, 10, 11, 3)
    nchw = torch.from_numpy(np.asarray(x).transpose(0, 3, 1, 2).copy())
    want = torch.nn.functional.interpolate(nchw, size, mode="bicubic", align_corners=align_corners)
    got = interpolate_bicubic(x, size, align_corners=align_corners)
    np.testing.assert_allclose(got, want.numpy().transpose(0, 2, 3, 1), atol=2e-6)


def test_interpolation_keeps_corners_or_edges():
    ramp = jnp.broadcast_to(jnp.arange(8.0)[None, :, None, None], (1, 8, 4, 1))
    aligned = interpolate_bicubic(ramp, (15, 4), align_corners=True)
    np.testing.assert_allclose(aligned[0, ::2, 0, 0], np.arange(8), atol=1e-5)
    np.testing.assert_allclose(interpolate_bicubic(ramp, (8, 4), align_corners=False), ramp, atol=1e-6)


@pytest.mark.parametrize("s", [1, 2, 3, 4])
def test_moving_to_the_upper_left_samples_between_pixels(s):
    x = _random(2, 4 * s, 5 * s, 1)
    place = [np.minimum(np.arange(n) + (s - 1) / 2, n - 1) for n in x.shape[1:3]]
    down = np.apply_along_axis(lambda line: np.interp(place[0], np.arange(line.size), line), 1, x)
    want = np.apply_along_axis(lambda line: np.interp(place[1], np.arange(line.size), line), 2, down)
    np.testing.assert_allclose(move_to_upper_left(x, s), want, atol=1e-6)


def test_nearest_makes_blocks():
    x = _random(2, 4, 5, 3)
    large = upsample_nearest(x, 3)
    assert large.shape == (2, 12, 15, 3)
    for i in range(3):
        np.testing.assert_array_equal(large[:, i::3, 2 - i :: 3], x)


@pytest.mark.parametrize("scale", [1 / 4, 0.7, 1, 2, 4])
def test_long_axes_need_no_matrix(monkeypatch, scale):
    """The sum over non-zero weights equals the matrix product."""
    x = _random(2, 15, 20, 3)
    resizes = [lambda: ops.imresize(x, scale), lambda: interpolate_bicubic(x, (31, 18), align_corners=False)]
    if scale % 1 == 0:
        padded = x.at[:, 11:].set(0).at[:, :, 17:].set(0)
        resizes.append(lambda: ops.imresize(padded, scale, valid_size=(jnp.int32(11), jnp.int32(17))))
    products = [resize() for resize in resizes]
    monkeypatch.setattr("blindsr_jax.ops.taps.LONG", 10)
    monkeypatch.setattr("blindsr_jax.ops.taps.matrix", None)
    for product, resize in zip(products, resizes):
        np.testing.assert_allclose(resize(), product, atol=2e-6)


@pytest.mark.usefixtures("compile_as_users")
def test_nothing_as_large_as_a_matrix_is_kept_for_a_long_axis():
    """The program needs less than sixteen bytes per output pixel; the matrix would take 256 MB."""
    program = jax.jit(lambda x: ops.imresize(x, 4)).lower(jax.ShapeDtypeStruct((1, 4, 4096, 1), jnp.float32)).compile()
    sizes = program.memory_analysis()
    assert sizes.temp_size_in_bytes + sizes.generated_code_size_in_bytes < 16 * 16 * 4 * 4096
    assert len(program.as_text()) < 2**22, "the program contains large constants"


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_rows_alone_are_those_of_the_whole(scale):
    x = np.asarray(_random(12, 9, 2))
    whole = np.asarray(ops.imresize(x[None], scale))[0]
    pieces = [imresize_rows(x, scale, first, first + scale) for first in range(0, 12 * scale, scale)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=2e-6)
    np.testing.assert_array_equal(np.concatenate(pieces), imresize_rows(x, scale, 0, 12 * scale))
