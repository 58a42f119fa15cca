import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.networks import build, canvas, init_variables
from blindsr_jax.networks.dssr import DSSR
from blindsr_jax.ops.resize import imresize, interpolate_bicubic

SMALL = {
    "danv1": {"blocks": 1, "features": 8, "estimator_features": 8, "estimator_blocks": 1, "kernel_size": 11},
    "danv2": {"blocks": 1, "groups": 1, "features": 8, "estimator_features": 8, "estimator_blocks": 1}
    | {"kernel_size": 11},
    "dssr": {"features": 4, "blocks": 1, "refine_blocks": 1},
}
SEE_ALL = {"kernelnet": {"scale": 2}, "model_based": {"scale": 2}, "fixed_gaussian": {"scale": 2}}
CANVAS = (34, 27)
SIZES = [CANVAS, (17, 26), (9, 25), (2, 1)]
NETWORKS = [("danv1", scale, {}) for scale in (2, 3, 4)]
NETWORKS += [("danv1", 3, {"upsampler": "single", "skip": "nearest"}), ("danv1", 4, {"skip": "bicubic"})]
NETWORKS += [("danv2", scale, {}) for scale in (1, 2, 3, 4)] + [("dssr", scale, {}) for scale in (2, 3, 4)]


@functools.cache
def _network(name, scale, **sizes):
    """A network whose biases are not zero, so that whatever is computed outside of an image would show."""
    network = build(name, scale=scale, **SMALL[name] | sizes)
    basis = jax.random.normal(jax.random.key(1), (121, 10)) / 11 if "dan" in name else None
    variables = init_variables(network, jax.random.key(0, impl="rbg"), basis)
    noise = np.random.default_rng(0)
    params = jax.tree.map(lambda x: x + 0.1 * noise.normal(size=x.shape).astype(np.float32), variables["params"])
    return network, variables | {"params": params}


def _images(size, batch=2):
    return np.random.default_rng(sum(size)).random((batch, *size, 3), np.float32)


def _on_canvas(images, shape=CANVAS):
    """What lies outside must not matter."""
    lr = np.full((len(images), *shape, 3), 7, np.float32)
    lr[:, : images.shape[1], : images.shape[2]] = images
    return lr, np.array(images.shape[1:3], np.int32)


def _assert_same(got, want, size, scale):
    """Inside as alone, within float32's rounding; outside zero."""
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        if one.shape != other.shape:
            one = np.array(one)
            inside = one[..., : scale * size[0], : scale * size[1], :].copy()
            one[..., : scale * size[0], : scale * size[1], :] = 0
            np.testing.assert_array_equal(one, 0)
            one = inside
        np.testing.assert_allclose(one, other, atol=1e-5 * max(1, np.abs(other).max()))


@pytest.mark.parametrize(("name", "scale", "sizes"), NETWORKS, ids=lambda x: str(x))
def test_an_image_on_a_canvas_is_restored_as_alone(name, scale, sizes):
    network, variables = _network(name, scale, **sizes)
    apply = jax.jit(lambda v, lr, size: network.apply(v, lr, size=size, iterations=2, trace=True))
    for size in SIZES:
        images = _images(size)
        _assert_same(apply(variables, *_on_canvas(images)), apply(variables, images, None), size, scale)


@pytest.mark.parametrize("name", ["danv1", "danv2"])
@pytest.mark.parametrize("known", [{"kernel": (2, 11, 11)}, {"kernel_code": (2, 10)}], ids=str)
def test_an_image_of_known_blur_on_a_canvas(name, known):
    network, variables = _network(name, 2)
    known = {key: np.random.default_rng(0).random(shape, np.float32) / 121 for key, shape in known.items()}
    apply = jax.jit(lambda v, lr, size: network.apply(v, lr, size=size, **known))
    for size in SIZES[:4]:
        _assert_same(apply(variables, *_on_canvas(_images(size))), apply(variables, _images(size), None), size, 2)


def test_a_small_canvas_and_one_for_all_sizes():
    """Below sixteen pixels the sub-pixel convolutions are not composed; and a size is no reason to compile again."""
    network, variables = _network("danv1", 4)
    traced = []

    @jax.jit
    def apply(variables, lr, size):
        traced.append(lr.shape)
        return network.apply(variables, lr, size=size)

    for size in ((9, 12), (5, 11), (1, 3)):
        _assert_same(
            apply(variables, *_on_canvas(_images(size), (9, 12))),
            jax.jit(network.apply)(variables, _images(size)),
            size,
            4,
        )
    assert traced == [(2, 9, 12, 3)]


@pytest.mark.parametrize("size", [(13, 9), (5, 12), (1, 2)])
@pytest.mark.parametrize("scale", [2, 3])
def test_interpolation_within_a_canvas(size, scale):
    """Enlarging and shrinking, in each of the forms that networks use."""
    x, lr = _images((size[0] * scale, size[1] * scale)), _images(size)
    whole = (13, 12)
    large = (13 * scale, 12 * scale)
    image = tuple(jnp.int32(length) for length in size)

    def cut(y, s):
        assert y.shape[1:3] == (13 * s, 12 * s)
        np.testing.assert_array_equal(y[:, s * size[0] :], 0)
        return y[:, : s * size[0], : s * size[1]]

    def placed(x, shape):
        return np.pad(x, [(0, 0), *((0, whole - part) for whole, part in zip(shape, x.shape[1:3])), (0, 0)])

    np.testing.assert_allclose(
        cut(imresize(placed(lr, whole), scale, image=image), scale), imresize(lr, scale), atol=5e-6
    )
    for align in (True, False):
        up = interpolate_bicubic(placed(lr, whole), large, align_corners=align, image=image)
        wanted = interpolate_bicubic(lr, x.shape[1:3], align_corners=align)
        np.testing.assert_allclose(cut(up, scale), wanted, atol=5e-6)
        of_large = tuple(scale * length for length in image)
        down = interpolate_bicubic(placed(x, large), whole, align_corners=align, image=of_large)
        wanted = interpolate_bicubic(x, size, align_corners=align)
        np.testing.assert_allclose(cut(down, 1), wanted, atol=5e-6)


def test_without_a_canvas_nothing_is_added():
    x = jnp.ones((1, 4, 4, 2))
    assert canvas.keep(x) is x
    assert canvas.extent(x) is None


def test_networks_that_take_no_canvas_say_so():
    class Whole(DSSR):
        takes_canvas = False

    with pytest.raises(TypeError, match="Whole takes images of their own size only"):
        Whole(2, features=4).apply({}, np.zeros((1, 8, 8, 3)), size=np.int32([4, 4]))
    assert not any(build(name, **sizes).takes_canvas for name, sizes in SEE_ALL.items())
