"""Padded images get the same result as alone, and networks that cannot ensure this refuse them."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.networks import build, init_variables
from blindsr_jax.networks.dan_v1 import ConditionedConv
from blindsr_jax.networks.dssr import DSSR
from blindsr_jax.networks.layers import ChannelAttention, conv
from blindsr_jax.networks.region import Region, accepts_region, mask_outside, mean
from blindsr_jax.ops.resize import imresize, interpolate_bicubic
from tests.conftest import drilled

SMALL = {
    "danv1": {"blocks": 1, "features": 8, "estimator_features": 8, "estimator_blocks": 1, "kernel_size": 11},
    "danv2": {"blocks": 1, "groups": 1, "features": 8, "estimator_features": 8, "estimator_blocks": 1}
    | {"kernel_size": 11},
    "dssr": {"features": 4, "blocks": 1, "refine_blocks": 1},
}
SEE_ALL = {"kernelnet": {"scale": 2}, "model_based": {"scale": 2}, "fixed_gaussian": {"scale": 2}}
PADDED = (34, 27)
SIZES = [PADDED, (17, 26), (2, 1)]
NETWORKS = [("danv1", 4, {}), ("danv1", 3, {"upsampler": "single", "skip": "nearest"})]
NETWORKS += [("danv1", 2, {"skip": "bicubic"}), ("danv2", 1, {}), ("danv2", 4, {}), ("dssr", 3, {}), ("dssr", 4, {})]
OTHERS = [("danv1", 2, {}), ("danv1", 3, {}), ("danv1", 4, {"skip": "bicubic"})]
OTHERS += [("danv2", 2, {}), ("danv2", 3, {}), ("dssr", 2, {})]


@functools.cache
def _network(name, scale, **sizes):
    """Return a network with non-zero biases, so that values outside an image would affect the result."""
    network = build(name, scale=scale, **SMALL[name] | sizes)
    basis = jax.random.normal(jax.random.key(1), (121, 10)) / 11 if "dan" in name else None
    variables = init_variables(network, jax.random.key(0, impl="rbg"), basis)
    noise = np.random.default_rng(0)
    params = jax.tree.map(lambda x: x + 0.1 * noise.normal(size=x.shape).astype(np.float32), variables["params"])
    return network, variables | {"params": params}


def _images(size, batch=2):
    return np.random.default_rng(sum(size)).random((batch, *size, 3), np.float32)


def _padded(images, shape=PADDED):
    """Pad with sevens, since values outside an image must have no effect."""
    lr = np.full((len(images), *shape, 3), 7, np.float32)
    lr[:, : images.shape[1], : images.shape[2]] = images
    return lr, Region(tuple(np.array(images.shape[1:3], np.int32)))


def _assert_same(got, want, size, scale):
    """Check that images are equal within float32 rounding, and zero outside."""
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        if one.shape != other.shape:
            one = np.array(one)
            inside = one[..., : scale * size[0], : scale * size[1], :].copy()
            one[..., : scale * size[0], : scale * size[1], :] = 0
            np.testing.assert_array_equal(one, 0)
            one = inside
        np.testing.assert_allclose(one, other, atol=1e-5 * max(1, np.abs(other).max()))


@pytest.mark.parametrize(
    ("name", "scale", "sizes"),
    [*NETWORKS, *(drilled(*network) for network in OTHERS)],
    ids=str,
)
def test_a_padded_image_is_restored_as_alone(name, scale, sizes):
    network, variables = _network(name, scale, **sizes)
    assert network.takes_padding
    apply = jax.jit(lambda v, lr, region: network.apply(v, lr, region=region, iterations=2, trace=True))
    for size in SIZES:
        images = _images(size)
        _assert_same(apply(variables, *_padded(images)), apply(variables, images, None), size, scale)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("danv1", {"kernel": (2, 11, 11)}),
        ("danv2", {"kernel_code": (2, 10)}),
        drilled("danv1", {"kernel_code": (2, 10)}),
        drilled("danv2", {"kernel": (2, 11, 11)}),
    ],
    ids=str,
)
def test_a_padded_image_of_known_blur(name, known):
    network, variables = _network(name, 2)
    known = {key: np.random.default_rng(0).random(shape, np.float32) / 121 for key, shape in known.items()}
    apply = jax.jit(lambda v, lr, region: network.apply(v, lr, region=region, **known))
    for size in SIZES:
        _assert_same(apply(variables, *_padded(_images(size))), apply(variables, _images(size), None), size, 2)


def test_one_program_serves_all_sizes():
    """Another size does not compile again, also below sixteen pixels, where convolutions are not composed."""
    network, variables = _network("danv1", 4)
    traced = []

    @jax.jit
    def apply(variables, lr, region):
        traced.append(lr.shape)
        return network.apply(variables, lr, region=region)

    for size in ((9, 12), (5, 11), (1, 3)):
        _assert_same(
            apply(variables, *_padded(_images(size), (9, 12))),
            jax.jit(network.apply)(variables, _images(size)),
            size,
            4,
        )
    assert traced == [(2, 9, 12, 3)]


@pytest.mark.parametrize("size", [(13, 9), (5, 12), (1, 2)])
@pytest.mark.parametrize("scale", [2, 3])
def test_interpolation_of_padded_images(size, scale):
    """Enlarge and shrink with every function that networks use."""
    x, lr = _images((size[0] * scale, size[1] * scale)), _images(size)
    whole = (13, 12)
    large = (13 * scale, 12 * scale)
    valid = tuple(jnp.int32(length) for length in size)

    def cut(y, s):
        assert y.shape[1:3] == (13 * s, 12 * s)
        np.testing.assert_array_equal(y[:, s * size[0] :], 0)
        return y[:, : s * size[0], : s * size[1]]

    def placed(x, shape):
        return np.pad(x, [(0, 0), *((0, whole - part) for whole, part in zip(shape, x.shape[1:3])), (0, 0)])

    np.testing.assert_allclose(
        cut(imresize(placed(lr, whole), scale, valid_size=valid), scale), imresize(lr, scale), atol=5e-6
    )
    for align in (True, False):
        up = interpolate_bicubic(placed(lr, whole), large, align_corners=align, valid_size=valid)
        wanted = interpolate_bicubic(lr, x.shape[1:3], align_corners=align)
        np.testing.assert_allclose(cut(up, scale), wanted, atol=5e-6)
        of_large = tuple(scale * length for length in valid)
        down = interpolate_bicubic(placed(x, large), whole, align_corners=align, valid_size=of_large)
        wanted = interpolate_bicubic(x, size, align_corners=align)
        np.testing.assert_allclose(cut(down, 1), wanted, atol=5e-6)


def test_without_a_region_nothing_is_added():
    x = jnp.ones((1, 4, 4, 2))
    assert mask_outside(x, None) is x and mask_outside(x, Region()) is x
    network, variables = _network("danv1", 2)
    applies = network.apply, functools.partial(network.apply, region=None)
    assert len({str(jax.make_jaxpr(apply)(variables, _images((9, 9)))) for apply in applies}) == 1


@pytest.mark.parametrize("windows", [[[0, 6, 0, 7]] * 2, [[1, 4, 2, 7], [0, 6, 3, 5]], [[0, 0, 0, 0], [2, 3, 1, 6]]])
def test_parts_of_one_image_share_their_means(windows):
    x = _images((6, 7))
    seen = np.concatenate([part[a:b, c:d].reshape(-1, 3) for part, (a, b, c, d) in zip(x, windows)])
    found = mean(jnp.asarray(x), Region(windows=jnp.array(windows)))
    np.testing.assert_allclose(found, np.broadcast_to(seen.mean(axis=0), (2, 1, 1, 3)), atol=1e-6)


def test_a_tile_is_given_the_means_of_its_image():
    """With the means of the whole image, channel attention of its two parts equals that of the whole."""
    attention, x = ChannelAttention(reduction=1), _images((8, 6), 1)
    variables = attention.init(jax.random.key(0), x)
    whole, means = attention.apply(variables, x, mutable=["means"])
    for part in (slice(0, 3), slice(3, 8)):
        got = attention.apply(variables | means, x[:, part])
        np.testing.assert_allclose(got, whole[:, part], atol=1e-6)
        assert np.abs(attention.apply(variables, x[:, part]) - whole[:, part]).max() > 1e-5


class PlainRestorer(nn.Module):
    """A user's Restorer made of flax's layers."""

    scale: int = 2

    @nn.compact
    def __call__(self, lr, code):
        code = jnp.broadcast_to(code[:, None, None], (*lr.shape[:3], code.shape[-1]))
        x = nn.relu(nn.Conv(8, (3, 3), bias_init=nn.initializers.ones)(jnp.concatenate([lr, code], axis=-1)))
        return jnp.repeat(jnp.repeat(nn.Conv(3, (3, 3))(x), self.scale, 1), self.scale, 2)


class MaskedRestorer(PlainRestorer):
    """The same Restorer made of layers that accept a region."""

    @nn.compact
    def __call__(self, lr, code, region=None):
        code = jnp.broadcast_to(code[:, None, None], (*lr.shape[:3], code.shape[-1]))
        x = mask_outside(jnp.concatenate([lr, code], axis=-1), region)
        x = conv(3, 3)(nn.relu(conv(8, 3, initial_bias=1.0)(x, region)), region)
        return jnp.repeat(jnp.repeat(mask_outside(x, region), self.scale, 1), self.scale, 2)


@pytest.mark.parametrize("restorer", [PlainRestorer(), MaskedRestorer()], ids=lambda x: type(x).__name__)
def test_padding_is_decided_by_the_arguments_of_the_parts(restorer):
    network, variables = _network("danv1", 2)
    network = network.clone(restorer=restorer)
    variables = init_variables(network, jax.random.key(0, impl="rbg"), variables["constants"]["pca_basis"])
    assert network.takes_padding == accepts_region(restorer) == isinstance(restorer, MaskedRestorer)
    apply = functools.partial(jax.jit(network.apply), variables)
    lr, region = _padded(_images((9, 12)))
    if network.takes_padding:
        _assert_same(apply(lr, region=region), apply(_images((9, 12))), (9, 12), 2)
    else:
        with pytest.raises(TypeError, match="DAN does not accept a region"):
            apply(lr, region=region)


def test_networks_that_see_the_whole_image_take_no_padding():
    class Whole(DSSR):
        def start(self, lr):
            return super().start(lr)

    assert not Whole(2).takes_padding
    with pytest.raises(TypeError, match="Whole does not accept a region"):
        Whole(2, features=4).apply({}, np.zeros((1, 8, 8, 3)), region=Region((4, 4)))
    assert not any(build(name, **sizes).takes_padding for name, sizes in SEE_ALL.items())


def test_the_gradient_to_a_code_is_the_same_by_slices_and_by_masks():
    """An image that fills its frame chooses its code's map by masks; without a region, CPUs sum slices."""
    x, code = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate([(2, 7, 9, 4), (2, 3)]))
    layer = ConditionedConv(6)
    variables = layer.init(jax.random.key(2), x, code)

    def loss(code, region):
        return jnp.sum(layer.apply(variables, x, code, region) ** 2)

    whole = Region((jnp.full((), 7), jnp.full((), 9)))
    one, other = jax.grad(loss)(code, None), jax.grad(loss)(code, whole)
    np.testing.assert_allclose(one, other, rtol=1e-5)
    assert np.abs(one).min() > 0
