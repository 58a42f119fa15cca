import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import ops
from blindsr_jax.degradations import isotropic_gaussian
from blindsr_jax.errors import InputError

RNG = np.random.default_rng(0)
KERNEL = np.asarray(isotropic_gaussian(1.2, 7))[None]
_DOWN = {"bicubic": lambda x, s: ops.imresize(x, 1 / s), "s_fold": ops.s_fold_down}
# Compiled as a whole: operation by operation takes several times as long.
_back_project = jax.jit(ops.back_project, static_argnames=("scale", "iterations", "downsample", "blur_mode"))
_blur = jax.jit(ops.blur)


def _lr_of(image, kernel, scale, downsample):
    return _DOWN[downsample](_blur(image, kernel), scale)


def test_one_step_of_zssr(reference):
    """Its kernel is moved to the blocks' centres. Its ``imresize`` treats two borders otherwise, which are left out."""
    golden = np.load(reference / "internal" / "zssr.npz")
    lr = np.float32(golden["father"][:64, :64])[None] / 255
    kernel = np.float32(golden["kernel_shifted_x2"])[None]
    options = {"scale": 2, "iterations": 1, "downsample": "s_fold_of_moved", "blur_mode": "symmetric"}
    got = np.asarray(_back_project(golden["bp_sr"][None], lr, kernel, **options))[0]
    np.testing.assert_allclose(got[3:, 3:], golden["bp_out"][3:, 3:], atol=2e-6)


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("downsample", ["bicubic", "s_fold"])
def test_the_true_image_stays_and_others_come_nearer_to_the_lr_image(scale, downsample):
    coarse = RNG.uniform(0.2, 0.8, (1, 6, 5, 3)).astype(np.float32)
    true = ops.imresize(coarse, 2 * scale)
    lr = _lr_of(true, KERNEL, scale, downsample)
    options = {"scale": scale, "downsample": downsample}
    np.testing.assert_allclose(_back_project(true, lr, KERNEL, iterations=3, **options), true, atol=1e-5)
    start = jnp.clip(true + 0.1 * RNG.standard_normal(true.shape).astype(np.float32), 0, 1)
    errors = [
        float(jnp.square(_lr_of(x, KERNEL, scale, downsample) - lr).mean())
        for x in (start, *(_back_project(start, lr, KERNEL, iterations=n, **options) for n in (1, 4)))
    ]
    assert errors[2] < errors[1] / 2 < errors[0] / 4


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(
    ("downsample", "place"), [("bicubic", "centre"), ("s_fold", "corner"), ("s_fold_of_moved", "centre")]
)
def test_a_pixel_is_corrected_where_it_was_sampled(scale, downsample, place):
    image = jnp.full((1, 9 * scale, 9 * scale, 1), 0.5)
    lr = jnp.full((1, 9, 9, 1), 0.5).at[0, 4, 3].add(0.1)
    got = _back_project(image, lr, jnp.ones((1, 1, 1)), scale=scale, iterations=1, downsample=downsample)
    change = np.asarray(got - image)[0, ..., 0]
    weights, axis = change / change.sum(), np.arange(9 * scale)
    offset = (scale - 1) / 2 if place == "centre" else 0
    np.testing.assert_allclose(weights.sum(axis=1) @ axis, 4 * scale + offset, atol=1e-3)
    np.testing.assert_allclose(weights.sum(axis=0) @ axis, 3 * scale + offset, atol=1e-3)


def test_below_jit_and_grad():
    image, lr = RNG.uniform(0.2, 0.8, (2, 12, 16, 3)).astype(np.float32), np.full((2, 6, 8, 3), 0.5, np.float32)

    def error(kernel):
        return jnp.square(_back_project(image, lr, kernel, scale=2, iterations=2) - 0.5).mean()

    gradient = jax.jit(jax.grad(error))(jnp.asarray(KERNEL[:, 1:-1, 1:-1]))
    assert np.isfinite(gradient).all()
    assert np.any(gradient != 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scale": 3}, "not 3 times as large"),
        ({"iterations": -1}, "iterations must be 0 or more"),
        ({"downsample": "area"}, "downsample must be one of"),
        ({"kernel": np.ones((1, 33, 33), np.float32) / 1089}, "too large"),
    ],
)
def test_what_does_not_belong_together_is_refused(changed, message):
    arguments = {"image": np.zeros((1, 16, 16, 3), np.float32), "lr": np.zeros((1, 8, 8, 3), np.float32)}
    arguments |= {"kernel": KERNEL, "scale": 2, "iterations": 1} | changed
    with pytest.raises(InputError, match=message):
        ops.back_project(**arguments)
